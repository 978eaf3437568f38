"""What a mesh-to-speech model hears in an animation, as sound, and as a film beside the input."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from stages.artifacts.clips import Clip, ClipFile, open_clips
from stages.audio.log_mel import loudness_gain
from stages.audio.waveform import to_int16, write_wav
from stages.heads.head import Head, build_head
from stages.models.mesh_to_speech import MeshToSpeech, check_same_face, load_mesh_to_speech
from stages.models.reconstruction import reconstruct_mel, to_sound
from stages.models.vocoder import Vocoder, check_same_ears, ears_fingerprint, load_vocoder
from stages.rendering.spoken_film import film_what_is_said
from stages.rendering.studio import Panel, Shoot, Studio, whole_frames_a_thread
from stages.runtime.assets import asset_path, find_asset
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError, explained_write
from stages.runtime.progress import Progress, silent

DEFAULT_M2S = Path("m2s.h5")
DEFAULT_VOCODER = Path("vocoder.h5")
# Sounds stay below full scale, as far as the common loudness does not see to it.
_HIGHEST_PEAK = 0.95


@dataclass(frozen=True)
class SpeakResult:
    """What was written: one sound a take and, if asked for, one film; and the vocoder used, None for Griffin-Lim."""

    vocoder: Path | None
    files: list[Path] = field(default_factory=list)
    films: list[Path] = field(default_factory=list)


def find_m2s(m2s: Path | None) -> Path:
    """The model that listens: the one named, else `m2s.h5` in the current folder, else the embedded one."""
    if m2s is not None:
        return m2s
    return DEFAULT_M2S if DEFAULT_M2S.exists() else asset_path("m2s.h5")


def find_vocoder(vocoder: Path | None, m2s: Path) -> Path | None:
    """The vocoder that speaks: the one named, else `vocoder.h5` here or the embedded one, if it fits the model, else none.

    Raises:
        ThunderError: the one named speaks units and voices of another model.
    """
    model = load_mesh_to_speech(m2s, names_units=False)[0]
    if vocoder is not None:
        check_same_ears(load_vocoder(vocoder), model, vocoder, m2s)
        return vocoder
    at_hand = [path for path in (DEFAULT_VOCODER, find_asset("vocoder.h5")) if path is not None and path.exists()]
    return next((path for path in at_hand if load_vocoder(path).config.ears == ears_fingerprint(model)), None)


def speak(
    path: Path,
    m2s: Path,
    output: Path,
    *,
    vocoder: Path | None = None,
    clip_ids: Sequence[str] = (),
    film: bool = False,
    panel_height: int = 480,
    device: str = "auto",
    force: bool = False,
    progress: Progress = silent,
) -> SpeakResult:
    """Writes `<clip>.<k>.wav`, what take k of every clip says in the voice of the clip's own speech, and films it.

    Args:
        path: `thunder.samples` or `thunder.dataset`.
        m2s: the model that listens.
        output: folder to write to.
        vocoder: makes sound of what is heard; without one, phases are found by Griffin and Lim's iterations.
        clip_ids: clips to speak; all if empty.
        film: also write `<clip>.<k>.mp4`, the face beside both spectrograms, with the input speech and then with its own.
        panel_height: of a film, in pixels.

    Raises:
        ThunderError: no such clip, motion of another head than the model's, a vocoder of another model, or files that exist.
    """
    if output.exists() and not output.is_dir():
        raise ThunderError(f"{output}: a file, wanted a folder for the sounds; choose another --output")
    if not 32 <= panel_height <= 4096:
        raise ThunderError(f"panel height wanted 32 to 4096 pixels, found {panel_height}; choose another --size")
    where = resolve_device(device)
    model, model_head = load_mesh_to_speech(m2s, where, names_units=False)
    voice = None
    if vocoder is not None:
        voice = load_vocoder(vocoder, where)
        check_same_ears(voice, model, vocoder, m2s)
    result = SpeakResult(vocoder)
    with open_clips(path) as clips:
        check_same_face(model_head, clips.head, model.config.input, m2s)
        head = build_head(clips.head).to(where)
        chosen = list(dict.fromkeys(clip_ids)) or clips.ids()
        num_takes = {clip_id: clips.summary(clip_id).num_takes for clip_id in chosen}
        if not force:
            _check_free(output, num_takes, (".wav", ".mp4") if film else (".wav",))
        with explained_write(output):
            output.mkdir(parents=True, exist_ok=True)
        said: dict[str, list[np.ndarray]] = {}
        with progress("speaking", total=sum(num_takes.values())) as advance:
            for clip_id in chosen:
                said[clip_id] = _sounds(model, head, clips.read(clip_id), voice)
                for k, sound in enumerate(said[clip_id]):
                    result.files.append(_target(output, clip_id, k, ".wav"))
                    write_wav(result.files[-1], sound)
                    advance()
                if not film:
                    del said[clip_id]
        # Only what is filmed is still there.
        for clip_id, sounds in said.items():
            result.films.extend(_film(clips, clip_id, sounds, output, panel_height, where, result, progress))
    return result


def _target(output: Path, clip_id: str, take: int, suffix: str) -> Path:
    return output / f"{clip_id}.{take}{suffix}"


def _check_free(output: Path, num_takes: dict[str, int], suffixes: Sequence[str]) -> None:
    """Refuses, before anything is written, to replace files."""
    wanted = (_target(output, clip_id, k, s) for clip_id, n in num_takes.items() for k in range(n) for s in suffixes)
    taken = [path for path in wanted if path.exists()]
    if len(taken) == 1:
        raise ThunderError(f"{taken[0]}: exists already; give --force to replace it, or choose another --output")
    if taken:
        raise ThunderError(
            f"{len(taken)} files exist already, the first {taken[0]}; give --force to replace them, or choose another --output"
        )


def _sounds(model: MeshToSpeech, head: Head, clip: Clip, voice: Vocoder | None) -> list[np.ndarray]:
    """What every take says, (S,) i16."""
    device = model.mel_mean.device
    waveform = torch.from_numpy(clip.waveform).to(device)
    sounds = []
    for take in torch.from_numpy(clip.takes).to(device):  # one by one: memory
        mel, logits, speaker = reconstruct_mel(model, head, take[None], clip.fps, waveform)
        sound = to_sound(mel, logits.argmax(-1), speaker, voice)[0]
        loudest = sound.abs().max() if len(sound) else torch.tensor(0.0)
        sounds.append(to_int16((sound * min(1.0, _HIGHEST_PEAK / max(float(loudest), 1e-9))).cpu().numpy()))
    return sounds


def _film(
    clips: ClipFile,
    clip_id: str,
    sounds: list[np.ndarray],
    output: Path,
    panel_height: int,
    device: torch.device,
    result: SpeakResult,
    progress: Progress,
) -> list[Path]:
    """One film a take."""
    clip = clips.read(clip_id, vertices=clips.has_vertices(clip_id))
    waveform = torch.from_numpy(clip.waveform).float() / 32768
    recorded = (waveform * loudness_gain(waveform)).clamp(-1, 1).numpy() if len(waveform) else np.zeros(0, "f4")
    if device.type == "mps":
        device = torch.device("cpu")  # has no 64-bit scatter, of which the z-buffer is made
    template = torch.from_numpy(clips.template(clip.subject)).to(device)
    films = []
    with whole_frames_a_thread() as num_workers:
        studio = Studio(clips.head, panel_height, device, num_workers)
        for k, sound in enumerate(sounds):
            name = f"{clip_id} · take {k}" if clips.schema == "thunder.samples" else f"{clip_id} · recorded"
            panel = Panel(f"take {k}", name, torch.from_numpy(clip.takes[k]).to(device), template, clip.vertices)
            path = _target(output, clip_id, k, ".mp4")
            by = "Griffin-Lim" if result.vocoder is None else "vocoder"
            shoot = Shoot(studio, clip_id, [panel])
            film_what_is_said(
                shoot,
                clip.num_frames,
                clip.fps,
                recorded,
                sound / np.float32(32768),
                path,
                said_by=by,
                progress=progress,
            )
            films.append(path)
    return films
