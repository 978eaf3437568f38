"""What speech does not determine: blinks, gaze, brows, emotion, head motion, breath.

All of it is drawn from its own seed, so that the same words can be said with many faces. What the emotion does to the
mouth is added here too; it bends the articulation, but opens neither the closures of /p b m/ nor the silences.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.corpora.synthesis.phones import SILENCE, TimedPhones, stress
from stages.heads.arkit import ARKIT_CURVES, ARKIT_FEATURES

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised")
_NEUTRAL_SHARE = 0.4

# Curves of each emotion at its apex and full intensity; a name without a side stands for both.
_EMOTION_CURVES: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {"mouthSmile": 0.62, "cheekSquint": 0.60, "eyeSquint": 0.28, "mouthDimple": 0.12, "browOuterUp": 0.10},
    "sad": {"browInnerUp": 0.80, "mouthFrown": 0.55, "mouthShrugLower": 0.12, "eyeBlink": 0.10, "eyeLookDown": 0.12,
            "headPitch": 0.07},
    "angry": {"browDown": 0.90, "eyeSquint": 0.35, "noseSneer": 0.22, "mouthFrown": 0.18, "mouthPress": 0.10,
              "jawForward": 0.04, "headPitch": 0.03},
    "surprised": {"browInnerUp": 0.75, "browOuterUp": 0.85, "eyeWide": 0.75, "headPitch": -0.04},
}  # fmt: skip
# Gains of the jaw and of rounding under each emotion at full intensity: a smile flattens the lips, sadness slackens.
_EMOTION_JAW = {"neutral": 1.0, "happy": 1.04, "sad": 0.86, "angry": 1.12, "surprised": 1.14}
_EMOTION_ROUNDING = {"neutral": 1.0, "happy": 0.78, "sad": 0.95, "angry": 1.05, "surprised": 1.05}

# Rotation at which an eyeLook curve is 1, radians, horizontally and vertically.
_GAZE_RANGE = np.radians([35.0, 30.0])


@dataclass(frozen=True)
class FaceStyle:
    """How one person's face moves apart from speech.

    Attributes:
        blinks_per_minute: while speaking; 26 on average in conversation, 17 at rest (A. R. Bentivoglio and others, "Analysis
            of blink rate patterns in normal subjects", 1997).
        blink_s: length of a blink, closing to open.
        fixation_s: median time between two saccades.
        gaze_spread: standard deviation of the direction of gaze, radians.
        head_spread: standard deviation of yaw, pitch, roll, radians.
        nodding: share of stressed syllables with a nod.
        brow_activity: share of stressed syllables with raised brows.
        expressiveness: gain of emotions and brows.
        lid: how far the lids droop (positive) or are raised (negative) at rest.
        asymmetry: -1..1, positive moves the subject's left side more.
    """

    blinks_per_minute: float
    blink_s: float
    fixation_s: float
    gaze_spread: float
    head_spread: tuple[float, float, float]
    nodding: float
    brow_activity: float
    expressiveness: float
    lid: float
    asymmetry: float


def draw_face_style(rng: np.random.Generator) -> FaceStyle:
    """A person's habits, drawn at random."""
    spread = np.radians([3.2, 2.2, 1.5]) * np.exp(rng.normal(0, 0.3, 3))
    return FaceStyle(
        blinks_per_minute=float(np.clip(np.exp(rng.normal(np.log(20), 0.35)), 9, 42)),
        blink_s=float(rng.uniform(0.18, 0.30)),
        fixation_s=float(rng.uniform(0.5, 1.4)),
        gaze_spread=float(np.radians(rng.uniform(2.0, 6.0))),
        head_spread=(float(spread[0]), float(spread[1]), float(spread[2])),
        nodding=float(rng.uniform(0.1, 0.5)),
        brow_activity=float(rng.uniform(0.05, 0.35)),
        expressiveness=float(np.clip(np.exp(rng.normal(0, 0.2)), 0.6, 1.4)),
        lid=float(np.clip(rng.normal(0.02, 0.03), -0.04, 0.1)),
        asymmetry=float(np.clip(rng.normal(0, 0.1), -0.25, 0.25)),
    )


def draw_emotion(rng: np.random.Generator) -> tuple[str, float]:
    """The emotion of a clip and its intensity, 0..1: three clips of five carry one."""
    if rng.random() < _NEUTRAL_SHARE:
        return "neutral", 0.0
    return str(rng.choice(EMOTIONS[1:])), round(float(rng.uniform(0.35, 1.0)), 2)


def express(
    mouth: NDArray[np.float32],
    phones: TimedPhones,
    style: FaceStyle,
    fps: float,
    rng: np.random.Generator,
    *,
    emotion: str = "neutral",
    intensity: float = 0.0,
) -> NDArray[np.float32]:
    """Adds the rest of the face to mouth curves.

    Args:
        mouth: (T, 52) from `articulate`.
        phones: of the same utterance; they say where pauses and stressed syllables are.
        style: the person's.
        fps: frames per second.
        rng: of this performance.
        emotion: one of `EMOTIONS`.
        intensity: of the emotion, 0..1.

    Returns:
        (T, 55), columns as in `ARKIT_FEATURES`; curves 0..1, head rotation in radians.
    """
    times = np.arange(len(mouth)) / fps
    motion = np.zeros((len(mouth), len(ARKIT_FEATURES)))
    motion[:, : len(ARKIT_CURVES)] = mouth
    column = {name: motion[:, k] for k, name in enumerate(ARKIT_FEATURES)}

    strength = intensity * _emotion_course(times, rng)
    _bend_mouth(column, emotion, strength)
    _add_emotion(column, emotion, strength * style.expressiveness, style.asymmetry)
    pauses, stressed = _landmarks(phones)
    _add_brows(column, times, stressed, style, rng)
    _add_head(column, times, style, rng, stressed=stressed, pauses=pauses)
    saccades = _add_gaze(column, times, style, rng)
    _add_blinks(column, times, np.concatenate([pauses, saccades]), style, rng)
    column["noseSneerLeft"] += 0.04 * _bumps(times, pauses + 0.1, 0.25)  # nostrils widen on breathing in
    column["noseSneerRight"] += 0.04 * _bumps(times, pauses + 0.1, 0.25)
    motion[:, : len(ARKIT_CURVES)] = np.clip(motion[:, : len(ARKIT_CURVES)], 0, 1)
    return motion.astype(np.float32)


def _landmarks(phones: TimedPhones) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Beginnings of pauses, and middles of syllables with primary stress, seconds."""
    starts, ends = phones.boundaries_s[:-1], phones.boundaries_s[1:]
    is_pause = np.array([label == SILENCE for label in phones.labels]) & (ends - starts >= 0.15)
    is_stressed = np.array([stress(label) == 1 for label in phones.labels])
    return starts[is_pause], (starts + ends)[is_stressed] / 2


def _bumps(
    times: NDArray[np.float64],
    centres: NDArray[np.float64],
    width_s: float,
    heights: NDArray[np.float64] | float = 1.0,
) -> NDArray[np.float64]:
    """(T,): one smooth hump of about `width_s` (full width at half height) at every centre; the highest counts."""
    if len(centres) == 0:
        return np.zeros(len(times))
    distance = (times[:, None] - centres[None]) / (width_s / 2.355)
    return (np.exp(-0.5 * distance**2) * heights).max(axis=1)


def _wander(
    times: NDArray[np.float64], slowest_hz: float, fastest_hz: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(T,): smooth noise of about unit variance between two frequencies, slow parts stronger."""
    hz = np.exp(rng.uniform(np.log(slowest_hz), np.log(fastest_hz), 12))
    weight = 1 / np.sqrt(hz)
    phase = rng.uniform(0, 2 * np.pi, 12)
    waves = np.sin(2 * np.pi * times[:, None] * hz[None] + phase[None])
    return waves @ weight / np.sqrt((weight**2).sum() / 2)


def _emotion_course(times: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(T,) in 0..1: onset, apex, and sometimes an offset before the end."""
    length = times[-1] if len(times) else 0.0
    begin, onset = rng.uniform(-0.6, 0.25 * length), rng.uniform(0.3, 0.8)
    finish, offset = rng.uniform(0.75, 1.5) * length, rng.uniform(0.5, 1.2)

    def eased(x: NDArray[np.float64]) -> NDArray[np.float64]:
        x = np.clip(x, 0, 1)
        return x * x * (3 - 2 * x)

    apex = np.clip(0.9 + 0.1 * _wander(times, 0.15, 0.8, rng), 0.6, 1.1)
    return eased((times - begin) / onset) * (1 - eased((times - finish) / offset)) * apex


def _bend_mouth(column: dict[str, NDArray[np.float64]], emotion: str, strength: NDArray[np.float64]) -> None:
    # The jaw and the corrective that closes the lips over it change alike: a closed mouth stays closed.
    jaw = 1 + (_EMOTION_JAW[emotion] - 1) * strength
    rounding = 1 + (_EMOTION_ROUNDING[emotion] - 1) * strength
    for name, gain in (("jawOpen", jaw), ("mouthClose", jaw), ("mouthPucker", rounding), ("mouthFunnel", rounding)):
        column[name] *= gain


def _add_emotion(
    column: dict[str, NDArray[np.float64]], emotion: str, strength: NDArray[np.float64], asymmetry: float
) -> None:
    # A rounded mouth cannot smile or frown fully at the same time.
    rounded = np.clip(column["mouthPucker"] + 0.5 * column["mouthFunnel"], 0, 1)
    # A jaw pushed forward or a sneer parts lips that are together: there only a third of either is seen.
    opened = 1 / 3 + 2 / 3 * np.clip((column["jawOpen"] - column["mouthClose"]) / 0.08, 0, 1)
    for name, apex in _EMOTION_CURVES[emotion].items():
        amount = apex * strength * (1 - 0.55 * rounded if name.startswith("mouth") else 1)
        if name in ("jawForward", "noseSneer"):
            amount = amount * opened
        if name in column:
            column[name] += amount
        else:
            column[name + "Left"] += amount * (1 + asymmetry)
            column[name + "Right"] += amount * (1 - asymmetry)


def _add_brows(
    column: dict[str, NDArray[np.float64]],
    times: NDArray[np.float64],
    stressed: NDArray[np.float64],
    style: FaceStyle,
    rng: np.random.Generator,
) -> None:
    chosen = stressed[rng.random(len(stressed)) < style.brow_activity] + rng.uniform(-0.08, 0.08)
    raised = _bumps(times, chosen, 0.45, rng.uniform(0.15, 0.55, len(chosen))) * style.expressiveness
    drift = 0.05 * _wander(times, 0.1, 0.7, rng)
    column["browInnerUp"] += 0.7 * raised + np.maximum(drift, 0)
    for side, gain in (("Left", 1 + style.asymmetry), ("Right", 1 - style.asymmetry)):
        column["browOuterUp" + side] += raised * gain
        column["browDown" + side] += np.maximum(-drift, 0) * gain
        column["eyeWide" + side] += 0.2 * raised * gain


def _add_head(
    column: dict[str, NDArray[np.float64]],
    times: NDArray[np.float64],
    style: FaceStyle,
    rng: np.random.Generator,
    *,
    stressed: NDArray[np.float64],
    pauses: NDArray[np.float64],
) -> None:
    for name, spread in zip(("headYaw", "headPitch", "headRoll"), style.head_spread, strict=True):
        column[name] += spread * (0.8 * _wander(times, 0.06, 0.5, rng) + 0.18 * _wander(times, 0.5, 1.6, rng))
        column[name] += rng.normal(0, 0.5 * spread)  # how the head is held in this take
    nods = stressed[rng.random(len(stressed)) < style.nodding] + rng.uniform(0.0, 0.1)
    column["headPitch"] += _bumps(times, nods, 0.30, np.radians(rng.uniform(1.0, 4.0, len(nods))))
    # The chest rises with a breath and lifts the head a little.
    column["headPitch"] -= np.radians(0.7) * _bumps(times, pauses + 0.15, 0.5)
    column["headPitch"] += np.radians(0.15) * np.sin(2 * np.pi * (0.25 * times + rng.random()))


def _add_gaze(
    column: dict[str, NDArray[np.float64]], times: NDArray[np.float64], style: FaceStyle, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Fixations and saccades; returns the times of the large saccades, with which people like to blink."""
    length = float(times[-1]) if len(times) else 0.0
    num = 4 + int(length / 0.15)
    lengths = np.maximum(0.15, style.fixation_s * np.exp(rng.normal(0, 0.6, num)))
    onsets = np.cumsum(lengths) - lengths[0] * rng.random()
    directions = rng.normal(0, 1, (num, 2)) * style.gaze_spread * np.array([1.0, 0.6])
    directions[rng.random(num) < 0.5] *= 0.25  # back to whom one talks to
    directions[rng.random(num) < 0.08] *= 3.0  # a look away, while thinking
    jumps = np.diff(directions, axis=0, prepend=directions[:1])
    size = np.linalg.norm(jumps, axis=1)
    # The main sequence (R. H. S. Carpenter, "Movements of the Eyes", 1988): 21 ms and 2.2 ms a degree.
    duration_s = 0.021 + 0.0022 * np.degrees(size)
    progress = np.clip((times[:, None] - onsets[None]) / duration_s[None], 0, 1)
    gaze = directions[0] + progress @ jumps
    # The eyes hold their target while the head moves.
    gaze[:, 0] -= 0.7 * column["headYaw"]
    gaze[:, 1] -= 0.7 * column["headPitch"]
    left, down = (gaze / _GAZE_RANGE).T
    column["eyeLookOutLeft"] += np.maximum(left, 0)
    column["eyeLookInRight"] += np.maximum(left, 0)
    column["eyeLookInLeft"] += np.maximum(-left, 0)
    column["eyeLookOutRight"] += np.maximum(-left, 0)
    for side in ("Left", "Right"):
        column["eyeLookDown" + side] += np.maximum(down, 0)
        column["eyeLookUp" + side] += np.maximum(-down, 0)
        # The upper lid follows the eye.
        column["eyeBlink" + side] += 0.35 * np.maximum(down, 0)
    return onsets[(size > np.radians(8)) & (onsets < length)]


def _add_blinks(
    column: dict[str, NDArray[np.float64]],
    times: NDArray[np.float64],
    occasions: NDArray[np.float64],
    style: FaceStyle,
    rng: np.random.Generator,
) -> None:
    length = float(times[-1]) if len(times) else 0.0
    # Log-normal intervals; the occasions below bring the rate up to the person's.
    mean_s = 60 / (0.8 * style.blinks_per_minute)
    num = 8 + int(3 * length / mean_s)
    intervals = np.maximum(0.4, mean_s * np.exp(rng.normal(-0.18, 0.6, num)))
    blinks = np.cumsum(intervals) - intervals[0] * rng.random()
    wanted = occasions[rng.random(len(occasions)) < 0.25] + rng.uniform(0, 0.1)
    blinks = np.sort(np.concatenate([blinks[blinks < length], wanted]))
    # Two blinks cannot overlap.
    blinks = blinks[np.diff(blinks, prepend=-1.0) > 0.4]
    depth = np.where(
        rng.random(len(blinks)) < 0.1, rng.uniform(0.5, 0.8, len(blinks)), rng.uniform(0.93, 1.0, len(blinks))
    )
    closed = np.zeros(len(times))
    if len(blinks):
        # A third of the time to close, shut for at least one frame at 25 fps, the rest to open.
        since = times[:, None] - blinks[None]
        closing = np.clip(since / (0.32 * style.blink_s), 0, 1)
        opening = np.clip((since - 0.32 * style.blink_s - 0.04) / (0.68 * style.blink_s - 0.04), 0, 1)
        closed = ((np.sin(np.pi / 2 * closing) ** 2) * (np.cos(np.pi / 2 * opening) ** 2) * depth).max(axis=1)
    for side in ("Left", "Right"):
        open_lid = np.clip(column["eyeBlink" + side] + style.lid, 0, 1)
        column["eyeBlink" + side][:] = open_lid + (1 - open_lid) * closed
        column["eyeWide" + side] *= 1 - closed
        column["eyeSquint" + side] += 0.08 * closed
