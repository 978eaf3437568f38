"""What a mesh-to-speech model hears in an animation, as sound."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from stages.artifacts.clips import Clip, open_clips
from stages.audio.griffin_lim import griffin_lim
from stages.audio.log_mel import speech_log_mel
from stages.audio.waveform import to_int16, write_wav
from stages.heads.head import Head, build_head
from stages.models.mesh_to_speech import MeshToSpeech, check_same_face, load_mesh_to_speech, look_at
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError, explained_write
from stages.runtime.progress import Progress, silent

# Attention over a whole recording would grow with the square of its length.
_WINDOW_S = 16.0


@dataclass(frozen=True)
class SpeakResult:
    """What was written: one sound a take."""

    files: list[Path]


def speak(
    path: Path,
    m2s: Path,
    output: Path,
    *,
    clip_ids: Sequence[str] = (),
    device: str = "auto",
    force: bool = False,
    progress: Progress = silent,
) -> SpeakResult:
    """Writes `<clip>.<k>.wav`, what take k of every clip says; phases are found by Griffin and Lim's iterations.

    The voice is that of the clip's own speech, described by mean and deviation of its mel bands: what a face cannot tell.

    Args:
        path: `thunder.samples` or `thunder.dataset`.
        m2s: the model that listens.
        output: folder to write to.
        clip_ids: clips to speak; all if empty.

    Raises:
        ThunderError: no such clip, motion of another head than the model's, or a file that exists.
    """
    if output.exists() and not output.is_dir():
        raise ThunderError(f"{output}: a file, wanted a folder for the sounds; choose another --output")
    chosen_device = resolve_device(device)
    model, model_head = load_mesh_to_speech(m2s, chosen_device, names_units=False)
    written: list[Path] = []
    with open_clips(path) as clips:
        check_same_face(model_head, clips.head, model.config.input, m2s)
        head = build_head(clips.head).to(chosen_device)
        chosen = list(dict.fromkeys(clip_ids)) or clips.ids()
        for clip_id in chosen:
            clips.summary(clip_id)  # says which clip is unknown before a folder is made
        with explained_write(output):
            output.mkdir(parents=True, exist_ok=True)
        with progress("speaking", total=len(chosen)) as advance:
            for clip_id in chosen:
                for k, mel in enumerate(_heard_mels(model, head, clips.read(clip_id))):
                    target = output / f"{clip_id}.{k}.wav"
                    if target.exists() and not force:
                        raise ThunderError(f"{target}: exists already; give --force to replace it")
                    sound = griffin_lim(mel)
                    write_wav(target, to_int16((0.5 * sound / sound.abs().max().clamp_min(1e-6)).cpu().numpy()))
                    written.append(target)
                advance()
    return SpeakResult(written)


@torch.no_grad()
def _heard_mels(model: MeshToSpeech, head: Head, clip: Clip) -> list[torch.Tensor]:
    """The log-mel (L, 80) heard in every take."""
    device = model.mel_mean.device
    motion = torch.from_numpy(clip.takes).to(device)
    spoken = model.normalise_mel(speech_log_mel(torch.from_numpy(clip.waveform).to(device)))
    speaker = model.describe_voice(spoken[None]).expand(len(motion), -1)
    window = round(_WINDOW_S * clip.fps)
    pieces = []
    for first in range(0, motion.shape[1], window):
        piece = motion[:, first : first + window]
        num_mel_frames = int(piece.shape[1] / clip.fps * 100) // 2 * 2
        if num_mel_frames:
            heard = model(look_at(model, head, piece), clip.fps, num_mel_frames, speaker)
            pieces.append(model.restore_mel(heard.log_mel))
    return list(torch.cat(pieces, dim=1)) if pieces else []
