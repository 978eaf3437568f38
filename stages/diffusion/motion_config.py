"""What a user says about the motion, and what the sampler makes of it for a model that knows some names and not others."""

from pathlib import Path

from pydantic import Field

from stages.diffusion.long_motion import SamplingOptions
from stages.diffusion.samplers import Sampler
from stages.formats.keyframes import Keyframe, read_keyframes
from stages.models.motion_denoiser import MotionDenoiser
from stages.runtime.config import Config
from stages.runtime.errors import ThunderError, did_you_mean

# In place of an emotion's name: what a dataset says that each clip is spoken with.
OWN = "own"


class MotionConfig(Config):
    """How motion is sampled, of whole recordings or of speech that is still being said.

    Attributes:
        steps: calls of the denoiser a window. On validation speakers 5 to 25 gave equally accurate lips. A model made by
            regression is called once, and its takes are equal.
        sampler: `ddim`, or `dpm-solver`, of second order.
        guidance: 1 takes the model's word; more exaggerates what speech and style change, at twice the cost. On
            validation speakers 1.5 came nearest the true lips and closed more of them on /p b m/ than 1; 2 and 3 closed
            hardly more, moved more hastily and overshot.
        closure: how firmly lips meet where the model hears /p b m/, 0 to 1, see `stages.diffusion.closures`; 0 leaves it to
            the model, and a model that names no phones is left to itself.
        neck_cutoff_hz: head rotation is smoothed above this; 0 leaves it as sampled. On validation speakers 2 Hz took the
            jerk of the whole face from five times that of true motion to 1.4 times; true motion would lose .05 degrees.
        emotion: one that the model knows; `own`, of clips of a dataset, that of each, as strong as it is there; None leaves it
            free, so that takes differ in it.
        intensity: of the emotion, 0 to 1; 1 where None.
        keyframes: file that tells emotions over time, see `stages.formats.keyframes`.
        subject: whose style, one that the model knows; None leaves it free.
    """

    steps: int = 8
    sampler: Sampler = "ddim"
    guidance: float = 1.5
    closure: float = 1.0
    neck_cutoff_hz: float = Field(2.0, ge=0)
    emotion: str | None = None
    intensity: float | None = None
    keyframes: Path | None = None
    subject: str | None = None


def sampling_options(config: MotionConfig, denoiser: MotionDenoiser, path: Path) -> SamplingOptions:
    """Names to indices, and ranges checked; the emotion `own` is left open, for it differs from clip to clip.

    Args:
        path: of the denoiser, for messages.

    Raises:
        ThunderError: a name that the model does not know, a number out of range, or steps of a model that takes one.
    """
    idle = [name for name in ("steps", "sampler") if name in config.model_fields_set]
    if denoiser.config.regression and idle:
        options = " and ".join(f"--{name}" for name in idle)
        raise ThunderError(f"{path}: made by --regression, it answers in one step; leave out {options}")
    if not 1 <= config.steps <= denoiser.config.num_timesteps:
        raise ThunderError(f"--steps wanted 1 to {denoiser.config.num_timesteps}, found {config.steps}")
    if not 0 <= config.guidance <= 100:
        raise ThunderError(f"--guidance wanted 0 to 100, found {config.guidance:g}")
    if not 0 <= config.closure <= 1:
        raise ThunderError(f"--closure wanted 0 to 1, found {config.closure:g}")
    if "closure" in config.model_fields_set and denoiser.name_phones is None:
        raise ThunderError(
            f"{path}: was not taught to name phones, and cannot hear where lips meet; leave out --closure, or train it on a "
            f"dataset with phone times"
        )
    return SamplingOptions(
        config.steps,
        config.sampler,
        config.guidance,
        _emotions(config, denoiser, path),
        0 if config.subject is None else _index(config.subject, denoiser.config.subjects, "subject", path) + 1,
    )


def _emotions(config: MotionConfig, denoiser: MotionDenoiser, path: Path) -> tuple[Keyframe, ...]:
    """What is felt when, from a name and a number or from a file of keyframes."""
    if config.emotion is not None and config.keyframes is not None:
        raise ThunderError("--emotion and --keyframes both say what is felt; give one of them")
    if config.intensity is not None and config.emotion in (None, OWN):
        raise ThunderError("--intensity is that of an emotion; name it by --emotion")
    intensity = 1.0 if config.intensity is None else config.intensity
    if not 0 <= intensity <= 1:
        raise ThunderError(f"--intensity wanted 0 to 1, found {intensity:g}")
    keyframes = [] if config.keyframes is None else read_keyframes(config.keyframes)
    if config.emotion not in (None, OWN):
        keyframes = [Keyframe(0.0, config.emotion, intensity)]
    for keyframe in keyframes:
        _index(keyframe.emotion, denoiser.config.emotions, "emotion", path)
    return tuple(keyframes)


def _index(name: str, known: tuple[str, ...], what: str, path: Path) -> int:
    if name not in known:
        raise ThunderError(
            f"{path}: knows no {what} {name!r}; it knows {', '.join(known) or 'none'}{did_you_mean(name, known)}"
        )
    return known.index(name)
