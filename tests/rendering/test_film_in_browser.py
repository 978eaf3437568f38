"""Films read by a reader that had no part in writing them: a Chromium, which is skipped where there is none."""

import base64
from pathlib import Path

import numpy as np
import pytest

from stages.rendering.video import write_film
from tests.rendering.browser import browser, find_browser

BROWSER = find_browser()
pytestmark = [
    pytest.mark.slow,  # a browser without a graphics card
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here to watch a film with"),
]

# The page keeps the time of the frame that it shows: a browser with much to do says that it has sought before it shows what it
# found, and where the frame is shown already it may not show it again.
PAGE = """<!doctype html><link rel="icon" href="data:,"><video id="film" src="%s"></video>
<canvas id="canvas" width="64" height="32"></canvas>
<script>
const film = document.getElementById("film");
const pencil = document.getElementById("canvas").getContext("2d", {willReadFrequently: true});
let shown = NaN;
const watch = (now, frame) => {
  shown = frame.mediaTime;
  film.requestVideoFrameCallback(watch);
};
film.requestVideoFrameCallback(watch);
</script>"""
# The colour of the middle of the frame that belongs to some time, once it is shown.
AT = """(async (time, length) => {
  film.currentTime = time;
  await new Promise((done) => film.addEventListener("seeked", done, {once: true}));
  const end = performance.now() + 60000;
  while (!(shown <= time && time < shown + length)) {
    if (performance.now() > end) throw new Error(`the frame of ${time} s is not shown, but that of ${shown} s`);
    await new Promise((done) => setTimeout(done, 5));
  }
  pencil.drawImage(film, 0, 0);
  return [...pencil.getImageData(32, 16, 1, 1).data];
})(%f, %f)"""
# When the sound is first loud, in seconds.
LOUD = """(async () => {
  const bytes = await (await fetch(film.src)).arrayBuffer();
  const sound = await new OfflineAudioContext(1, 48000, 48000).decodeAudioData(bytes);
  const samples = sound.getChannelData(0);
  return samples.findIndex((x) => Math.abs(x) > 0.3) / sound.sampleRate;
})()"""


@pytest.mark.parametrize(("container", "fps"), [("mp4", 25.0), ("mp4", 29.97), ("webm", 25.0)])
def test_a_flash_and_a_click_meet(tmp_path: Path, container: str, fps: float) -> None:
    """The flash is frame 20, in the middle of which it is seen, and not half a frame earlier or later than it stands."""
    num_frames, flash_s = 50, 20 / fps
    click = np.zeros(round(num_frames / fps * 16_000), "f4")
    at = round(flash_s * 16_000)
    click[at : at + 200] = np.sin(np.arange(200) * 0.4)
    pictures = np.full((num_frames, 32, 64, 3), 90, np.uint8)
    pictures[20] = (200, 120, 40)
    path = tmp_path / f"film.{container}"
    with write_film(path, (32, 64), num_frames, fps, waveform=click, container=container) as add:  # type: ignore[arg-type]
        add(pictures)
    data = base64.b64encode(path.read_bytes()).decode()
    (tmp_path / "page.html").write_text(PAGE % f"data:video/{container};base64,{data}")
    assert BROWSER is not None
    with browser(BROWSER) as page:
        page.open(tmp_path / "page.html", "film.readyState >= 2")
        assert page.ask("[film.videoWidth, film.videoHeight]") == [64, 32]
        assert page.ask("film.duration") == pytest.approx(num_frames / fps, abs=0.5 / fps)
        for offset, colour in ((-0.5, (90, 90, 90)), (0.2, (200, 120, 40)), (0.8, (200, 120, 40)), (1.5, (90, 90, 90))):
            shown = page.ask(AT % ((20 + offset) / fps, 1 / fps))
            assert np.abs(np.array(shown[:3]) - colour).max() <= 8, offset
        assert page.ask(LOUD) == pytest.approx(flash_s, abs=0.5 / fps)
        assert page.complaints == []
