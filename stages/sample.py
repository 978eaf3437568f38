"""Samples N takes of animation for every speech it is given."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from stages.artifacts.clips import SAMPLE_RATE_HZ, SPLITS, Clip, open_clips, write_clips
from stages.artifacts.files import check_output, inputs_of, schema_of
from stages.artifacts.head_record import HeadRecord
from stages.audio.log_mel import speech_log_mel
from stages.audio.waveform import is_silent, load_waveform, to_float, to_int16
from stages.diffusion.closures import Closer
from stages.diffusion.guidance import Listener
from stages.diffusion.long_motion import sample_long_motion
from stages.diffusion.motion_config import OWN, MotionConfig, sampling_options
from stages.diffusion.steadying import steady, within_range
from stages.formats.keyframes import Keyframe
from stages.heads.head import build_head
from stages.metrics.speech_recovery import hear
from stages.models.animators import load_animator
from stages.models.mesh_to_speech import check_same_face, load_mesh_to_speech
from stages.models.motion_denoiser import load_motion_denoiser
from stages.runtime.assets import asset_path
from stages.runtime.devices import resolve_device
from stages.runtime.errors import Failure, ThunderError, did_you_mean, summarise_failures
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs

DEFAULT_MODEL = Path("diffusion.h5")
_MODELS = ("thunder.diffusion", "thunder.animator")
# What is said to a model that denoises, and to no other.
_OF_DIFFUSION = (
    *("steps", "sampler", "guidance", "closure", "audio_guidance", "rerank", "draws"),
    *("emotion", "intensity", "keyframes"),
)
# What is taken from a folder; a file that is named is tried whatever its name.
SOUND_SUFFIXES = frozenset(
    (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma", ".mp4", ".mov", ".mkv", ".webm")
)


class SampleConfig(MotionConfig):
    """Configuration of `sample`: that of the motion, and

    Attributes:
        takes: N, how many of each input.
        clips: how many of the clips of a dataset's split; all if None.
        rerank: `m2s` draws more takes and keeps those in which a mesh-to-speech model hears the speech best.
        draws: how many times as many, where takes are chosen among.
        audio_guidance: W, how hard a mesh-to-speech model leads the sampling towards motion in which it hears the speech:
            in deviations of the motion, see `stages.diffusion.guidance.lead`; 0 is off.
    """

    takes: int = 5
    clips: int | None = Field(None, ge=1)
    rerank: Literal["m2s"] | None = None
    draws: int = Field(3, ge=2)
    audio_guidance: float = 0.0


@dataclass
class SampleSummary:
    """What was sampled; `equal_takes` where the model leaves nothing to chance."""

    output: Path
    model: Path
    num_clips: int = 0
    num_takes: int = 0
    equal_takes: bool = False
    seconds_of_speech: float = 0.0
    failures: list[Failure] = field(default_factory=list)


def find_model(model: Path | None) -> Path:
    """The model to use: the one named, else `diffusion.h5` in the current folder, else the embedded one."""
    if model is not None:
        return model
    return DEFAULT_MODEL if DEFAULT_MODEL.exists() else asset_path("diffusion.h5")


def find_listener(m2s: Path | None, config: SampleConfig) -> Path | None:
    """The mesh-to-speech model to use: the one named, else the embedded one where takes are chosen or led by it."""
    needed = config.rerank is not None or config.audio_guidance > 0
    return asset_path("m2s.h5") if m2s is None and needed else m2s


def sample(
    inputs: Sequence[Path],
    output: Path,
    config: SampleConfig,
    *,
    model: Path | None = None,
    dataset: Path | None = None,
    split: str | None = None,
    m2s: Path | None = None,
    hubert: Path | None = None,
    speech_encoder: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    progress: Progress = silent,
) -> SampleSummary:
    """Animates sound files, folders of them, and the clips of a dataset's split; take k has seed `seed` + k.

    With `config.rerank`, takes are chosen among more: the best heard comes first, and each keeps the seed it was drawn by.

    Args:
        inputs: files and folders.
        dataset: whose clips of `split` to animate besides.
        m2s: a mesh-to-speech model that scores every take, and chooses or leads where `config` says so; see
            `find_listener`.
        hubert: the folder that the speech units of `m2s` are made of, where they are.
        speech_encoder: the folder that the model hears speech by, where it was trained with one.

    Raises:
        ThunderError: nothing to animate; no input that could be animated; a model or option that does not fit.
    """
    files = find_sounds(inputs)
    model_path = find_model(model)
    m2s = find_listener(m2s, config)
    check_output(output, force=force, inputs=[*files, model_path, dataset if split else None, m2s])
    chosen_device = resolve_device(device)
    _check_config(config, files)
    if schema_of(model_path, *_MODELS) == "thunder.animator":
        config = _for_one_take(config, model_path)
        animator = _open_animator(model_path, config, chosen_device, speech_encoder)
    else:
        animator = _open_diffusion(model_path, config, chosen_device, speech_encoder, progress)
    record = animator.record
    head = build_head(record).to(chosen_device)
    judge = None
    if m2s is not None:
        judge, judged_head = load_mesh_to_speech(m2s, chosen_device, hubert=hubert)
        check_same_face(judged_head, record, judge.config.input, m2s)
    if dataset is not None and split is not None:
        _check_split(dataset, split)
        _check_emotions(dataset, split, config, animator)
    summary = SampleSummary(output, model_path, num_takes=config.takes, equal_takes=animator.equal_takes)
    seeds = [seed + k for k in range(_num_drawn(config))]
    hashes = _inputs_of_samples(model_path, dataset if split else None, m2s, config)
    provenance = Provenance(seed, config.model_dump(mode="json"), hashes)
    with write_clips(output, "thunder.samples", record, provenance, force=force) as writer:
        for speech in _read_speeches(files, dataset, split, config.clips, record, summary, progress):
            samples = torch.from_numpy(speech.waveform).to(chosen_device)
            num_frames = max(1, int(np.ceil(speech.duration_s * animator.fps - 1e-6)))
            listener = None
            if judge is not None and config.audio_guidance > 0:
                mel = speech_log_mel(samples)
                listener = Listener(judge, head, mel, judge.name_units(samples, mel), config.audio_guidance)
            begun = perf_counter()
            try:
                motion = animator.takes(speech, samples, num_frames, seeds, listener)
            except ThunderError as error:
                raise ThunderError(f"{speech.id}: {error}") from error
            motion = within_range(steady(motion, record, animator.fps, config.neck_cutoff_hz), record)
            on_cpu = motion.cpu()  # when a GPU has done its work
            seconds = perf_counter() - begun
            score = None if judge is None else hear(judge, head, motion, animator.fps, samples).mel_error.cpu()
            kept = torch.arange(len(motion))
            if score is not None and config.rerank is not None:
                kept = score.argsort(stable=True)[: config.takes]
            writer.add(
                replace(
                    speech,
                    fps=animator.fps,
                    motion=on_cpu[kept].numpy(),
                    seed=np.array(seeds)[kept.numpy()],  # NumPy takes a tensor of one number for a number
                    audio_consistency=None if score is None else score[kept].numpy(),
                    seconds_a_take=seconds / (1 if animator.says_it_once else len(kept)),
                )
            )
            summary.num_clips += 1
            summary.seconds_of_speech += speech.duration_s
        if summary.num_clips == 0:
            total = len(summary.failures)
            raise ThunderError(
                summarise_failures(summary.failures, total, "inputs") if total else "no sound file found in the inputs"
            )
    return summary


@dataclass(frozen=True)
class _Animator:
    """A model that is ready to animate.

    Attributes:
        record: the head that its motion plays on.
        takes: motion (N, T, D) of a clip from its samples (S,), T, a seed for every take, and who listens, if anyone does.
        equal_takes: whatever the seeds.
        says_it_once: however many takes are asked for.
        emotions: that it can be told.
    """

    record: HeadRecord
    fps: float
    takes: Callable[[Clip, torch.Tensor, int, list[int], Listener | None], torch.Tensor]
    equal_takes: bool
    says_it_once: bool = False
    emotions: tuple[str, ...] = ()


def _open_diffusion(
    path: Path, config: SampleConfig, device: torch.device, speech_encoder: Path | None, progress: Progress
) -> _Animator:
    denoiser, record = load_motion_denoiser(path, device, speech_encoder=speech_encoder)
    if denoiser.config.regression and (config.rerank is not None or config.audio_guidance > 0):
        raise ThunderError(
            f"{path}: made by --regression, it leaves nothing to choose or lead; leave out --rerank and --audio-guidance"
        )
    options = sampling_options(config, denoiser, path)
    closer = Closer(build_head(record).to(device), config.closure)

    def takes(
        speech: Clip, samples: torch.Tensor, num_frames: int, seeds: list[int], listener: Listener | None
    ) -> torch.Tensor:
        sound = denoiser.speech_encoder.read(samples)
        said = options
        if config.emotion == OWN:
            said = replace(options, emotions=(Keyframe(0.0, speech.emotion, speech.intensity),))
        return sample_long_motion(denoiser, sound, num_frames, seeds, said, progress, closer=closer, listener=listener)

    return _Animator(
        record,
        denoiser.config.fps,
        takes,
        equal_takes=denoiser.config.regression,
        emotions=denoiser.config.emotions,
    )


def _open_animator(path: Path, config: SampleConfig, device: torch.device, speech_encoder: Path | None) -> _Animator:
    """A deterministic model: it speaks in the style of --subject, else of the clip's own where it knows it, else of all."""
    network, record = load_animator(path, device, speech_encoder=speech_encoder)
    styles = {name: index for index, name in enumerate(network.config.subjects, start=1)}
    if config.subject is not None and config.subject not in styles:
        raise ThunderError(
            f"{path}: knows no subject {config.subject!r}; it knows {', '.join(styles)}"
            + did_you_mean(config.subject, styles)
        )

    def takes(
        speech: Clip, samples: torch.Tensor, num_frames: int, seeds: list[int], listener: Listener | None
    ) -> torch.Tensor:
        style = styles.get(config.subject or speech.subject, 0)
        return network.animate(samples, num_frames, style).expand(len(seeds), -1, -1)

    return _Animator(record, network.config.fps, takes, equal_takes=True, says_it_once=True)


def _for_one_take(config: SampleConfig, path: Path) -> SampleConfig:
    """The configuration for a deterministic model: one take where no number was asked for."""
    given = [name for name in _OF_DIFFUSION if name in config.model_fields_set]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ThunderError(f"{path}: a deterministic animator, which is told speech and a subject; leave out {options}")
    return config if "takes" in config.model_fields_set else config.model_copy(update={"takes": 1})


def _inputs_of_samples(model: Path, dataset: Path | None, m2s: Path | None, config: SampleConfig) -> dict[str, str]:
    """SHA-256 of what samples are made of, and of each mesh-to-speech model that had a part in them and so cannot judge."""
    hashes = hash_inputs(model=model, dataset=dataset, m2s=m2s)
    if supervisor := inputs_of(model, *_MODELS).get("m2s"):
        hashes["supervised_by"] = supervisor
    if lip_reader := inputs_of(model, *_MODELS).get("lipreader"):
        hashes["supervised_by_lipreader"] = lip_reader
    if config.rerank is not None:
        hashes["selected_by"] = hashes["m2s"]
    if config.audio_guidance > 0:
        hashes["guided_by"] = hashes["m2s"]
    return hashes


def _num_drawn(config: SampleConfig) -> int:
    """How many takes are drawn of each input."""
    return config.takes if config.rerank is None else config.takes * config.draws


def _check_split(dataset: Path, split: str) -> None:
    with open_clips(dataset, "thunder.dataset") as file:
        if not file.ids(split):
            there = [f"{len(file.ids(name))} of {name}" for name in SPLITS if file.ids(name)]
            raise ThunderError(
                f"{dataset}: no clip in split {split!r}; choose one of {', '.join(SPLITS)}, it holds "
                f"{' and '.join(there) or 'no clips'}{did_you_mean(split, SPLITS)}"
            )


def _check_emotions(dataset: Path, split: str, config: SampleConfig, animator: _Animator) -> None:
    """Refuses clips whose own emotion the model is to be told and cannot be, before any is animated."""
    if config.emotion != OWN:
        return
    with open_clips(dataset, "thunder.dataset") as file:
        for clip_id in _some_of(file.ids(split), config.clips):
            emotion = file.summary(clip_id).emotion
            if emotion not in animator.emotions:
                raise ThunderError(
                    f"{dataset}: clip {clip_id} is {emotion}, which the model cannot be told; it knows "
                    f"{', '.join(animator.emotions) or 'no emotion'}; leave out --emotion {OWN}, or name one of these"
                )


def _check_config(config: SampleConfig, files: Sequence[Path]) -> None:
    if not 1 <= config.takes <= 10_000:
        raise ThunderError(f"--n wanted 1 to 10000 takes, found {config.takes}")
    if _num_drawn(config) > 10_000:
        raise ThunderError(
            f"--n {config.takes} times --draws {config.draws} wanted at most 10000 takes to choose among"
        )
    if config.audio_guidance < 0:
        raise ThunderError(f"--audio-guidance wanted 0 or more, found {config.audio_guidance:g}")
    if config.emotion == OWN and files:
        raise ThunderError(
            f"--emotion {OWN}: nobody knows that of {files[0]}; give clips of a dataset alone, by --split, or name one"
        )


def find_sounds(inputs: Iterable[Path]) -> list[Path]:
    """The files among the inputs, and the sounds in folders among them, sorted; files that start with a dot are hidden.

    Raises:
        ThunderError: a folder without sounds, or none of the files is there.
    """
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            sounds = (p for p in path.rglob("*") if p.suffix.lower() in SOUND_SUFFIXES and not p.name.startswith("."))
            found = sorted(p for p in sounds if p.is_file())
            if not found:
                raise ThunderError(
                    f"{path}: no sound file in this folder; it looks for {', '.join(sorted(SOUND_SUFFIXES))}"
                )
            files += found
        else:
            files.append(path)
    artifacts = [path for path in files if path.suffix.lower() == ".h5"]
    if artifacts:
        raise ThunderError(
            f"{artifacts[0]}: an artifact, wanted a sound file or a folder of them; to animate the clips of a dataset give "
            f"`--split test --dataset {artifacts[0]}`, to choose a model `--model`"
        )
    if files and not any(path.exists() for path in files):
        raise ThunderError(f"{', '.join(map(str, files[:5]))}: no such file, wanted a sound file or a folder of them")
    return files


def _read_speeches(
    files: list[Path],
    dataset: Path | None,
    split: str | None,
    num_clips: int | None,
    record: HeadRecord,
    summary: SampleSummary,
    progress: Progress,
) -> Iterator[Clip]:
    """Every input as a clip without motion; files that cannot be read are added to the summary's failures."""
    nothing = np.zeros((0, len(record.features)), "f4")
    taken: set[str] = set()
    if dataset is not None and split is not None:
        with open_clips(dataset, "thunder.dataset") as file:
            ids = _some_of(file.ids(split), num_clips)
            with progress(f"clips of {split}", total=len(ids)) as advance:
                for clip_id in ids:
                    taken.add(clip_id)
                    try:
                        clip = file.read(clip_id)
                        _check_audible(to_float(clip.waveform), f"{dataset}: clip {clip_id}")
                    except ThunderError as error:
                        summary.failures.append(Failure(clip_id, str(error)))
                    else:
                        yield replace(clip, motion=nothing)
                    advance()
    if not files:
        return
    with progress("sounds", total=len(files)) as advance:
        for path in files:
            try:
                waveform = load_waveform(path)
                _check_audible(waveform, str(path))
            except ThunderError as error:
                reason = str(error).removeprefix(f"{path}: ")
                summary.failures.append(Failure(str(path), reason))
            else:
                clip_id = _unused_id(path.stem, taken)
                yield Clip(clip_id, SAMPLE_RATE_HZ, to_int16(waveform), nothing, transcript=_transcript_beside(path))
            advance()


def _some_of(ids: list[str], number: int | None) -> list[str]:
    """So many of them, drawn from all: the same ones whatever the seed, so that figures of takes and models compare."""
    chosen = np.random.default_rng(0).permutation(len(ids))[:number]
    return [ids[k] for k in sorted(chosen)]


def _check_audible(waveform: np.ndarray, where: str) -> None:
    """Refuses a sound (S,) with nothing in it: an hour of closed mouth is not what anyone asks for."""
    if is_silent(waveform):
        raise ThunderError(f"{where}: silent from beginning to end; wanted speech, record it again")


def _unused_id(stem: str, taken: set[str]) -> str:
    """A clip id made of a file's name; a second file of that name gets a number."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip(".") or "speech"
    clip_id, number = base, 2
    while clip_id in taken:
        clip_id, number = f"{base}-{number}", number + 1
    taken.add(clip_id)
    return clip_id


def _transcript_beside(path: Path) -> str:
    """The text in `<name>.txt` beside a sound file, if there is one."""
    text = path.with_suffix(".txt")
    return text.read_text(encoding="utf-8", errors="replace").strip() if text != path and text.is_file() else ""
