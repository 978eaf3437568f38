// The sound is the clock: the picture asks it for the time and never the other way round.

/** A WAV file of 16-bit mono samples. */
function wavOf(samples, rate) {
  const header = new DataView(new ArrayBuffer(44));
  const word = (at, text) => [...text].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
  word(0, "RIFF");
  header.setUint32(4, 36 + samples.byteLength, true);
  word(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // mono
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  word(36, "data");
  header.setUint32(40, samples.byteLength, true);
  return new Blob([header, samples], { type: "audio/wav" });
}

/** Loads a clip's sound into an audio element, and waits until it can be sought. */
async function loadSound(audio, samples, rate) {
  if (audio.src) URL.revokeObjectURL(audio.src);
  await new Promise((resolve, reject) => {
    audio.onloadedmetadata = resolve;
    audio.onerror = () => reject(new Error(`the sound does not play here: ${audio.error && audio.error.message}`));
    audio.src = URL.createObjectURL(wavOf(samples, rate));
  });
}

/** Greatest and least of the samples under each of `count` pixels between two times. */
function outlineOf(samples, rate, start, end, count) {
  const outline = new Float32Array(2 * count);
  for (let i = 0; i < count; i++) {
    const from = Math.max(0, Math.floor((start + ((end - start) * i) / count) * rate));
    const to = Math.min(samples.length, Math.max(from + 1, Math.floor((start + ((end - start) * (i + 1)) / count) * rate)));
    let low = 0, high = 0;
    for (let s = from; s < to; s++) {
      if (samples[s] < low) low = samples[s];
      if (samples[s] > high) high = samples[s];
    }
    outline[2 * i] = low / 32768;
    outline[2 * i + 1] = high / 32768;
  }
  return outline;
}
