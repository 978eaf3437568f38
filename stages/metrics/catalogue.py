"""Every metric by name: its formula, region, unit, what it needs, and how clips are put together.

A metric is one entry of `CATALOGUE`. Its formula is stated in full in the docstring of the function it names.
"""

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.metrics import diversity, geometry, lip_readability, lip_sync, readability, speech_recovery, speed
from stages.metrics.faces import ALL_VERTICES, ClipFaces, Face, Region
from stages.runtime.errors import ThunderError, did_you_mean

Need = Literal["reference", "takes", "closures", "times", "m2s", "recogniser", "lipreader"]
Better = Literal["less", "more", ""]
Weight = Literal["clip", "frame", "character", "closure", "viseme"]

# Dimension -> unit and factor for a head in metres, and unit for a head without a unit.
_UNITS = {
    "length": ("mm", 1e3, "unit"),
    "area": ("mm²", 1e6, "unit²"),
    "square": ("m²", 1.0, "unit²"),
    "jerk": ("m/s³", 1.0, "unit/s³"),
    "ratio": ("1", 1.0, "1"),
    "mel": ("sd", 1.0, "sd"),
    "speed": ("× real time", 1.0, "× real time"),
}
# Metrics that end so are of the truth, whatever was sampled.
OF_TRUTH = {"-truth": "true motion", "-speech": "true speech"}


@dataclass(frozen=True)
class Metric:
    """One figure.

    Attributes:
        name: on the command line and in `metrics.h5`; `lve` asks for `lve` and for every `lve-...`.
        formula: the function whose docstring states it.
        region: the vertices it looks at; empty where it looks at none.
        dimension: `length`, `area`, `square` (an area in head units squared), `jerk`, `ratio`, `mel` (standard deviations of
            a normalised log-mel), or `speed`.
        per_take: a clip's values in head units: (N,) one a take, or () where takes are taken together.
        needs: without these the metric cannot be computed.
        weight: what counts the same in the mean over clips: every clip, every frame, every character or viseme of the
            transcript, or every phone that closes the lips.
        better: `less` or `more`; empty where neither is: of the truth, of what is best near a value that the truth has, such as
            jitter, and of diversity, of which there may be too much.
    """

    name: str
    formula: Callable[..., Any]
    region: Region
    dimension: str
    per_take: Callable[[ClipFaces], Tensor]
    needs: frozenset[Need] = frozenset({"reference"})
    weight: Weight = "clip"
    better: Better = ""

    @property
    def of_truth(self) -> bool:
        """Whether it looks at true motion or speech alone, and so says the same of all samples of the same clips."""
        return self.name.endswith(tuple(OF_TRUTH))

    @property
    def definition(self) -> str:
        """The formula in words: what the docstring of its function says."""
        return inspect.getdoc(self.formula) or ""

    @property
    def formula_id(self) -> str:
        """Where the formula is stated, e.g. `metrics.geometry.lip_vertex_error`."""
        return f"{self.formula.__module__.removeprefix('stages.')}.{self.formula.__name__}"

    def unit(self, head_units: str) -> tuple[str, float]:
        """The unit printed, and the factor from head units to it."""
        metric_unit, factor, bare_unit = _UNITS[self.dimension]
        return (metric_unit, factor) if head_units == "m" else (bare_unit, 1.0)

    def value(self, clip: ClipFaces, head_units: str) -> float:
        """The clip's value: the mean over its takes. NaN where it is not defined, such as the diversity of one take."""
        return float(self.per_take(clip).mean()) * self.unit(head_units)[1]


def _lve(clip: ClipFaces) -> Tensor:
    return clip.compare("lips", lambda take, truth, _: geometry.lip_vertex_error(take, truth))


def _lve_l2(clip: ClipFaces) -> Tensor:
    return clip.compare("lips", lambda take, truth, _: geometry.lip_vertex_distance(take, truth))


def _mve(clip: ClipFaces) -> Tensor:
    def mean(indices: Tensor, frames: slice) -> Tensor:
        truth = clip.true_face.vertices(indices, frames=frames)
        return geometry.mean_vertex_error(clip.takes.vertices(indices, frames=frames), truth)

    return clip.average(ALL_VERTICES, mean)


def _fdd(clip: ClipFaces) -> Tensor:
    return clip.compare("upper_face", geometry.face_dynamics_deviation)


def _fdd_abs(clip: ClipFaces) -> Tensor:
    return clip.compare("upper_face", geometry.absolute_face_dynamics_deviation)


def _l_pcc(clip: ClipFaces) -> Tensor:
    return clip.compare("lips", lambda take, truth, _: lip_sync.lip_correlation(take, truth))


def _l_ccc(clip: ClipFaces) -> Tensor:
    return clip.compare("lips", lambda take, truth, _: lip_sync.lip_concordance(take, truth))


def _dtw(clip: ClipFaces) -> Tensor:
    return clip.compare("lips", lambda take, truth, _: lip_sync.lip_warping_distance(take, truth, clip.fps))


def _closure_rate(clip: ClipFaces) -> Tensor:
    return lip_sync.closure_rate(clip.gap(clip.takes), clip.closures, clip.fps)


def _closure_rate_truth(clip: ClipFaces) -> Tensor:
    return lip_sync.closure_rate(clip.gap(clip.true_face), clip.closures, clip.fps)


def _s_div_upper(clip: ClipFaces) -> Tensor:
    return _diversity(clip, "upper_face")


def _s_div_lower(clip: ClipFaces) -> Tensor:
    return _diversity(clip, "mouth")


def _s_div_lips(clip: ClipFaces) -> Tensor:
    return _diversity(clip, "lips")


def _diversity(clip: ClipFaces, region: Region) -> Tensor:
    return clip.average(region, lambda indices, t: diversity.sample_diversity(clip.takes.vertices(indices, frames=t)))


def _jitter(clip: ClipFaces) -> Tensor:
    return _jitter_of(clip.takes, clip)


def _jitter_truth(clip: ClipFaces) -> Tensor:
    return _jitter_of(clip.true_face, clip)


def _jitter_of(face: Face, clip: ClipFaces) -> Tensor:
    def mean(indices: Tensor, frames: slice) -> Tensor:
        return geometry.jitter(face.vertices(indices, frames=frames, pose=True), clip.fps)

    return clip.average(ALL_VERTICES, mean, reach=3)


def _speed(clip: ClipFaces) -> Tensor:
    assert clip.seconds_a_take is not None
    return torch.tensor(speed.speed_of_sampling(clip.speech_s, clip.seconds_a_take))


def _m2s_mel(clip: ClipFaces) -> Tensor:
    return clip.takes_heard.mel_error


def _m2s_units(clip: ClipFaces) -> Tensor:
    return clip.takes_heard.unit_accuracy


def _m2s_mel_truth(clip: ClipFaces) -> Tensor:
    return clip.truth_heard.mel_error


def _m2s_units_truth(clip: ClipFaces) -> Tensor:
    return clip.truth_heard.unit_accuracy


def _m2s_cer(clip: ClipFaces) -> Tensor:
    return clip.takes_read


def _m2s_cer_truth(clip: ClipFaces) -> Tensor:
    return clip.truth_read


def _m2s_cer_speech(clip: ClipFaces) -> Tensor:
    return clip.speech_read


def _cer(clip: ClipFaces) -> Tensor:
    return torch.tensor(lip_readability.lip_character_error_rate(clip.transcript, clip.takes_lip_read))


def _cer_truth(clip: ClipFaces) -> Tensor:
    return torch.tensor(lip_readability.lip_character_error_rate(clip.transcript, clip.truth_lip_read))


def _ver(clip: ClipFaces) -> Tensor:
    return _viseme_error_rate(clip, clip.takes_lip_read)


def _ver_truth(clip: ClipFaces) -> Tensor:
    return _viseme_error_rate(clip, clip.truth_lip_read)


def _viseme_error_rate(clip: ClipFaces, read: list[str]) -> Tensor:
    return torch.tensor(lip_readability.viseme_error_rate(clip.visemes, clip.lips.visemes(read, clip.language)))


_NEEDS_M2S: frozenset[Need] = frozenset({"m2s"})
_NEEDS_M2S_AND_TRUTH: frozenset[Need] = frozenset({"m2s", "reference"})
_NEEDS_READER: frozenset[Need] = frozenset({"m2s", "recogniser"})
_NEEDS_LIPS: frozenset[Need] = frozenset({"lipreader"})
_NEEDS_LIPS_AND_TRUTH: frozenset[Need] = frozenset({"lipreader", "reference"})

CATALOGUE: tuple[Metric, ...] = (
    Metric("lve", geometry.lip_vertex_error, "lips", "area", _lve, weight="frame", better="less"),
    Metric("lve-l2", geometry.lip_vertex_distance, "lips", "length", _lve_l2, weight="frame", better="less"),
    Metric("mve", geometry.mean_vertex_error, ALL_VERTICES, "length", _mve, weight="frame", better="less"),
    Metric("fdd", geometry.face_dynamics_deviation, "upper_face", "area", _fdd),
    Metric("fdd-abs", geometry.absolute_face_dynamics_deviation, "upper_face", "area", _fdd_abs, better="less"),
    Metric("l-pcc", lip_sync.lip_correlation, "lips", "ratio", _l_pcc, better="more"),
    Metric("l-ccc", lip_sync.lip_concordance, "lips", "ratio", _l_ccc, better="more"),
    Metric("dtw", lip_sync.lip_warping_distance, "lips", "length", _dtw, weight="frame", better="less"),
    Metric(
        "closure-rate",
        lip_sync.closure_rate,
        "",
        "ratio",
        _closure_rate,
        frozenset({"closures"}),
        weight="closure",
        better="more",
    ),
    Metric(
        "closure-rate-truth",
        lip_sync.closure_rate,
        "",
        "ratio",
        _closure_rate_truth,
        frozenset({"closures", "reference"}),
        weight="closure",
    ),
    Metric("s-div-upper", diversity.sample_diversity, "upper_face", "length", _s_div_upper, frozenset({"takes"})),
    Metric("s-div-lower", diversity.sample_diversity, "mouth", "length", _s_div_lower, frozenset({"takes"})),
    Metric("s-div-lips", diversity.sample_diversity, "lips", "length", _s_div_lips, frozenset({"takes"})),
    Metric("jitter", geometry.jitter, ALL_VERTICES, "jerk", _jitter, frozenset()),
    Metric("jitter-truth", geometry.jitter, ALL_VERTICES, "jerk", _jitter_truth),
    # What is read in true lips is the least that sampled ones can hope for.
    Metric("cer", lip_readability.lip_character_error_rate, "", "ratio", _cer, _NEEDS_LIPS, "character", better="less"),
    Metric(
        "cer-truth",
        lip_readability.lip_character_error_rate,
        "",
        "ratio",
        _cer_truth,
        _NEEDS_LIPS_AND_TRUTH,
        "character",
    ),
    Metric("ver", lip_readability.viseme_error_rate, "", "ratio", _ver, _NEEDS_LIPS, "viseme", better="less"),
    Metric("ver-truth", lip_readability.viseme_error_rate, "", "ratio", _ver_truth, _NEEDS_LIPS_AND_TRUTH, "viseme"),
    Metric("m2s-mel", speech_recovery.mel_recovery_error, "", "mel", _m2s_mel, _NEEDS_M2S, better="less"),
    Metric("m2s-units", speech_recovery.unit_recovery_accuracy, "", "ratio", _m2s_units, _NEEDS_M2S, better="more"),
    Metric("m2s-mel-truth", speech_recovery.mel_recovery_error, "", "mel", _m2s_mel_truth, _NEEDS_M2S_AND_TRUTH),
    Metric(
        "m2s-units-truth", speech_recovery.unit_recovery_accuracy, "", "ratio", _m2s_units_truth, _NEEDS_M2S_AND_TRUTH
    ),
    Metric(
        "m2s-cer", readability.character_error_rate, "", "ratio", _m2s_cer, _NEEDS_READER, "character", better="less"
    ),
    # What the judge makes of true motion, the least that a sampled one can hope for; and what the recogniser gets wrong
    # of true speech, the least that a face can.
    Metric(
        "m2s-cer-truth",
        readability.character_error_rate,
        "",
        "ratio",
        _m2s_cer_truth,
        _NEEDS_READER | {"reference"},
        "character",
    ),
    Metric(
        "m2s-cer-speech", readability.character_error_rate, "", "ratio", _m2s_cer_speech, _NEEDS_READER, "character"
    ),
    Metric("speed", speed.speed_of_sampling, "", "speed", _speed, frozenset({"times"}), better="more"),
)


def find_metrics(name: str, catalogue: Sequence[Metric] = CATALOGUE) -> list[Metric]:
    """The metrics that a name asks for, in the order of the catalogue: `fdd` asks for `fdd` and `fdd-abs`.

    Raises:
        ThunderError: a name that the catalogue does not know.
    """
    found = [metric for metric in catalogue if metric.name == name or metric.name.startswith(f"{name}-")]
    if not found:
        known = ", ".join(metric.name for metric in catalogue)
        near = did_you_mean(name, [metric.name for metric in catalogue])
        raise ThunderError(f"metric {name!r} is not known; wanted some of {known}{near}")
    return found


def region_hash(indices: NDArray[np.integer]) -> str:
    """First 12 hex digits of the SHA-256 of the sorted indices as little-endian int32: equal regions, equal hashes."""
    return hashlib.sha256(np.sort(indices).astype("<i4").tobytes()).hexdigest()[:12]
