"""Phones to mouth curves, with coarticulation that looks ahead and behind.

Every phone pulls each part of the mouth towards a target; how hard, and from how far, is its dominance, which falls off
with the distance in time. The mouth is where the pulls balance:

    position(t) = sum_p D_p(t) target_p / sum_p D_p(t),      D_p(t) = strength_p exp(-(distance_p(t) / reach_p))

(M. M. Cohen and D. W. Massaro, "Modeling coarticulation in synthetic visual speech", 1993; our distance is measured from
the steady middle of the phone instead of from its centre, so that long phones reach their targets and short ones
undershoot them, as in B. Lindblom, "Spectrographic study of vowel reduction", 1963.) Strength and reach differ from part
to part: /t d n l/ hardly pull on the lips, so that rounding passes through them; rounding starts well before its vowel
(anticipation of 100 to 200 ms, as in S. E. G. Öhman, "Coarticulation in VCV utterances", 1966); silence pulls late and
strongly, so that the mouth opens shortly before speech and closes shortly after it.

What else of speech is here, and from where: effort rises and falls along an utterance, between clear and casual speech
(B. Lindblom, "Explaining phonetic variation: a sketch of the H&H theory", 1990); stressed vowels open more than unstressed
ones (W. V. Summers, "Effects of stress and final-consonant voicing on vowel production", 1987);
jaw and lips share an opening, and a person who moves the jaw less moves the lips more (V. L. Gracco and J. H. Abbs, "Variant
and invariant characteristics of speech movements", 1986); the lips go on being pressed together through a stop, most just
before it is released, because they were aimed beyond each other (A. Löfqvist and V. L. Gracco, "Lip and jaw kinematics in
bilabial stop consonant production", 1997). The tongue's tip shows in /TH DH/ alone: for /L/ it stays behind the teeth,
where no curve of ARKit could put it.

Targets that must be met whatever the neighbours - lips closed in /p b m/, lower lip at the teeth in /f v/, mouth shut in
pauses - are not blended but imposed by envelopes with a plateau. Amplitudes are those of conversation on a head whose
jaw at 1 opens the lips by about 33 mm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.corpora.synthesis.phones import SILENCE, TimedPhones, base_label, stress
from stages.heads.arkit import ARKIT_CURVES

# Everything is computed on this clock and then read off at the frames.
GRID_HZ = 200

# Parts of the mouth that are blended; rounding and parting have several curves that move together.
PARTS = ("jaw", "pucker", "funnel", "spread", "lower", "upper", "tongue")

# Label -> targets in the order of PARTS, then the strengths of jaw, lip shape (pucker, funnel, spread) and lip parting
# (lower, upper). A diphthong has two rows: where it begins and where it goes.
_GESTURES: dict[str, list[tuple[float, ...]]] = {
    #      jaw   puck  funn  spre  lowr  uppr  tong    jaw  shape part
    "AA": [(0.44, 0.00, 0.04, 0.00, 0.22, 0.10, 0.0, 1.0, 0.50, 0.8)],
    "AE": [(0.40, 0.00, 0.00, 0.26, 0.28, 0.16, 0.0, 1.0, 0.60, 0.9)],
    "AH": [(0.27, 0.00, 0.02, 0.05, 0.16, 0.08, 0.0, 0.8, 0.30, 0.7)],
    "AO": [(0.32, 0.22, 0.30, 0.00, 0.15, 0.07, 0.0, 1.0, 0.90, 0.8)],
    "AW": [(0.43, 0.00, 0.02, 0.10, 0.22, 0.10, 0.0, 1.0, 0.60, 0.8), (0.20, 0.48, 0.16, 0.0, 0.1, 0.05, 0.0, 0.8, 0.9, 0.7)],
    "AY": [(0.43, 0.00, 0.00, 0.08, 0.24, 0.12, 0.0, 1.0, 0.50, 0.8), (0.17, 0.00, 0.00, 0.3, 0.2, 0.1, 0.0, 0.8, 0.6, 0.7)],
    "EH": [(0.29, 0.00, 0.00, 0.24, 0.24, 0.12, 0.0, 0.9, 0.60, 0.8)],
    "ER": [(0.19, 0.14, 0.30, 0.00, 0.16, 0.08, 0.0, 0.8, 0.70, 0.7)],
    "EY": [(0.26, 0.00, 0.00, 0.30, 0.24, 0.12, 0.0, 0.9, 0.60, 0.8), (0.14, 0.00, 0.00, 0.4, 0.2, 0.12, 0.0, 0.8, 0.7, 0.7)],
    "IH": [(0.16, 0.00, 0.00, 0.24, 0.18, 0.10, 0.0, 0.7, 0.50, 0.6)],
    "IY": [(0.10, 0.00, 0.00, 0.46, 0.20, 0.12, 0.0, 0.9, 0.80, 0.7)],
    "OW": [(0.28, 0.24, 0.30, 0.00, 0.12, 0.06, 0.0, 0.9, 0.90, 0.8), (0.12, 0.6, 0.18, 0.0, 0.06, 0.03, 0.0, 0.8, 1.0, 0.8)],
    "OY": [(0.32, 0.24, 0.30, 0.00, 0.14, 0.06, 0.0, 1.0, 0.90, 0.8), (0.16, 0.00, 0.00, 0.3, 0.2, 0.1, 0.0, 0.8, 0.7, 0.7)],
    "UH": [(0.14, 0.34, 0.18, 0.00, 0.10, 0.05, 0.0, 0.7, 0.70, 0.7)],
    "UW": [(0.08, 0.68, 0.14, 0.00, 0.05, 0.03, 0.0, 0.9, 1.00, 0.9)],
    "P": [(0.07, 0.00, 0.00, 0.00, 0.04, 0.02, 0.0, 0.6, 0.08, 0.5)],
    "B": [(0.07, 0.00, 0.00, 0.00, 0.04, 0.02, 0.0, 0.6, 0.08, 0.5)],
    "M": [(0.06, 0.00, 0.00, 0.00, 0.04, 0.02, 0.0, 0.7, 0.08, 0.5)],
    "F": [(0.07, 0.00, 0.00, 0.04, 0.04, 0.16, 0.0, 0.8, 0.12, 0.6)],
    "V": [(0.07, 0.00, 0.00, 0.04, 0.04, 0.16, 0.0, 0.8, 0.12, 0.6)],
    "TH": [(0.11, 0.00, 0.00, 0.06, 0.14, 0.08, 0.16, 0.6, 0.12, 0.5)],
    "DH": [(0.11, 0.00, 0.00, 0.06, 0.14, 0.08, 0.12, 0.5, 0.10, 0.4)],
    "T": [(0.08, 0.00, 0.00, 0.04, 0.12, 0.07, 0.0, 0.6, 0.05, 0.25)],
    "D": [(0.09, 0.00, 0.00, 0.04, 0.12, 0.07, 0.0, 0.5, 0.05, 0.25)],
    "N": [(0.10, 0.00, 0.00, 0.04, 0.12, 0.07, 0.0, 0.4, 0.05, 0.25)],
    "L": [(0.15, 0.00, 0.00, 0.04, 0.12, 0.07, 0.0, 0.4, 0.05, 0.25)],
    "S": [(0.04, 0.00, 0.00, 0.24, 0.22, 0.12, 0.0, 1.0, 0.16, 0.5)],
    "Z": [(0.05, 0.00, 0.00, 0.24, 0.20, 0.11, 0.0, 0.9, 0.16, 0.5)],
    "SH": [(0.07, 0.32, 0.50, 0.00, 0.16, 0.12, 0.0, 0.9, 0.80, 0.6)],
    "ZH": [(0.07, 0.30, 0.46, 0.00, 0.16, 0.12, 0.0, 0.9, 0.75, 0.6)],
    "CH": [(0.06, 0.30, 0.46, 0.00, 0.16, 0.12, 0.0, 0.9, 0.75, 0.6)],
    "JH": [(0.07, 0.28, 0.42, 0.00, 0.16, 0.12, 0.0, 0.9, 0.70, 0.6)],
    "K": [(0.14, 0.00, 0.00, 0.02, 0.12, 0.06, 0.0, 0.3, 0.04, 0.2)],
    "G": [(0.14, 0.00, 0.00, 0.02, 0.12, 0.06, 0.0, 0.3, 0.04, 0.2)],
    "NG": [(0.14, 0.00, 0.00, 0.02, 0.12, 0.06, 0.0, 0.3, 0.04, 0.2)],
    "HH": [(0.18, 0.00, 0.00, 0.00, 0.12, 0.06, 0.0, 0.1, 0.02, 0.1)],
    "R": [(0.13, 0.24, 0.26, 0.00, 0.10, 0.06, 0.0, 0.5, 0.45, 0.4)],
    "W": [(0.05, 0.80, 0.08, 0.00, 0.03, 0.02, 0.0, 0.8, 1.10, 0.8)],
    "Y": [(0.10, 0.00, 0.00, 0.30, 0.16, 0.10, 0.0, 0.5, 0.30, 0.4)],
    SILENCE: [(0.0, 0.00, 0.00, 0.00, 0.00, 0.00, 0.0, 1.2, 0.50, 1.0)],
}  # fmt: skip

# How far dominance reaches before and after the steady part of a phone, seconds, for each of PARTS.
_REACH_BEFORE_S = np.array([0.042, 0.095, 0.085, 0.065, 0.034, 0.034, 0.03])
_REACH_AFTER_S = np.array([0.058, 0.065, 0.060, 0.065, 0.048, 0.048, 0.03])
# Silence gives way quickly, and only from where its middle ends: the mouth opens about 90 ms before speech.
_SILENCE_REACH_S = 0.035
_SILENCE_MARGIN_S = 0.09

# Where dominance has fallen below 1e-6, and how many times of the grid are worked out at once.
_BEYOND_REACH_S = 1.6
_BLOCK = 5 * GRID_HZ

# Share of a phone, in its middle, in which its dominance is full.
_STEADY_SHARE = 0.4
# A stressed vowel opens more, an unstressed one less: gain by stress 0, 1, 2.
_STRESS_GAIN = np.array([0.72, 1.06, 0.94])

_CLOSURE_PLATEAU_S = 0.060
_CLOSURE_RAMP_S = 0.060
# The burst of a stop follows the opening of the lips.
_BURST_S = {"P": 0.028, "B": 0.014, "M": 0.0}
_TEETH_RAMP_S = 0.070
_PAUSE_S = 0.2


@dataclass(frozen=True)
class MouthStyle:
    """How one person moves the mouth; 1 is average.

    Attributes:
        jaw, rounding, spreading, lower_lip, upper_lip: gains of these movements.
        reach: gain of how far coarticulation reaches in time.
        reduction: 0..1, how much unstressed vowels are reduced.
        press: how firmly the lips are pressed in /p b m/, 0..1.
        asymmetry: -1..1, positive opens and spreads the subject's left more.
        smile, lateral, jaw_forward: resting bias of these curves.
        lip_share: -1..1, positive opens the mouth with the lips more and with the jaw less.
    """

    jaw: float = 1.0
    rounding: float = 1.0
    spreading: float = 1.0
    lower_lip: float = 1.0
    upper_lip: float = 1.0
    reach: float = 1.0
    reduction: float = 1.0
    press: float = 0.3
    asymmetry: float = 0.0
    smile: float = 0.0
    lateral: float = 0.0
    jaw_forward: float = 0.0
    lip_share: float = 0.0


def draw_mouth_style(rng: np.random.Generator) -> MouthStyle:
    """A person's way of moving the mouth, drawn at random."""
    gain = np.exp(rng.normal(0.0, [0.13, 0.15, 0.2, 0.2, 0.22, 0.12]))
    return MouthStyle(
        jaw=float(np.clip(gain[0], 0.72, 1.3)),
        rounding=float(np.clip(gain[1], 0.7, 1.35)),
        spreading=float(np.clip(gain[2], 0.6, 1.5)),
        lower_lip=float(np.clip(gain[3], 0.6, 1.5)),
        upper_lip=float(np.clip(gain[4], 0.6, 1.5)),
        reach=float(np.clip(gain[5], 0.75, 1.25)),
        reduction=float(rng.uniform(0.5, 1.2)),
        press=float(rng.uniform(0.12, 0.5)),
        asymmetry=float(np.clip(rng.normal(0.0, 0.08), -0.2, 0.2)),
        smile=float(np.clip(rng.normal(0.02, 0.02), 0.0, 0.06)),
        lateral=float(np.clip(rng.normal(0.0, 0.015), -0.04, 0.04)),
        jaw_forward=float(np.clip(rng.normal(0.01, 0.01), 0.0, 0.04)),
        lip_share=float(np.clip(rng.normal(0.0, 0.4), -0.9, 0.9)),
    )


def articulate(
    phones: TimedPhones,
    style: MouthStyle,
    num_frames: int,
    fps: float,
    *,
    effort: float | NDArray[np.float64] = 1.0,
) -> NDArray[np.float32]:
    """Mouth curves of an utterance.

    Args:
        phones: labels and times, beginning at 0.
        style: the speaker's.
        num_frames: T; frame t stands at t / fps seconds.
        fps: frames per second.
        effort: gain of all opening and shaping, 1 for conversation, above for clear, below for casual speech; one
            number, or (T,).

    Returns:
        (T, 52) in 0..1, columns as in `ARKIT_CURVES`; those of eyes, brows and head are 0.
    """
    grid_s = np.arange(int(num_frames / fps * GRID_HZ) + 2) / GRID_HZ
    parts = _smoothed(_blended(phones, style, grid_s))
    closure = _closure(phones, grid_s, fps)
    pressed = closure * (0.55 + 0.45 * _release(phones, grid_s))
    teeth = _teeth(phones, grid_s)
    pause = _pause(phones, grid_s)
    along = np.interp(grid_s * fps, np.arange(num_frames), np.broadcast_to(effort, num_frames))
    curves = _as_curves(parts, closure, teeth * (1 - closure), pause, pressed=pressed, style=style, effort=along)
    at = np.arange(num_frames) / fps * GRID_HZ
    below = at.astype(int)
    fraction = (at - below)[:, None]
    return np.clip(curves[below] * (1 - fraction) + curves[below + 1] * fraction, 0, 1).astype(np.float32)


def _blended(phones: TimedPhones, style: MouthStyle, grid_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G, 7): where the pulls of all gestures balance, for each of PARTS at each time of the grid."""
    rows, starts, ends, gains, silent = [], [], [], [], []
    for k, label in enumerate(phones.labels):
        start, end = float(phones.boundaries_s[k]), float(phones.boundaries_s[k + 1])
        base = base_label(label)
        gestures = _GESTURES[base]
        gain = 1.0
        if label[-1].isdigit():
            gain = 1 + (_STRESS_GAIN[stress(label)] - 1) * style.reduction
        # A diphthong lingers at its beginning.
        cuts = [start, end] if len(gestures) == 1 else [start, start + 0.55 * (end - start), end]
        for gesture, from_s, to_s in zip(gestures, cuts, cuts[1:], strict=False):
            rows.append(gesture)
            starts.append(from_s)
            ends.append(to_s)
            gains.append(gain)
            silent.append(base == SILENCE)
    table, gain_of, is_silence = np.array(rows), np.array(gains), np.array(silent)
    first, last = np.array(starts), np.array(ends)
    length = last - first
    margin = np.where(is_silence, np.minimum(_SILENCE_MARGIN_S, length / 2), length * (1 - _STEADY_SHARE) / 2)
    # The first and the last silence last for ever: nothing is spoken outside.
    steady_start = np.where(is_silence & (first <= 0), -1.0, first + margin)
    steady_end = np.where(is_silence & (last >= last[-1]), grid_s[-1] + 1, last - margin)
    targets = table[:, :7] * np.where(is_silence, 0, gain_of)[:, None]
    strengths = table[:, [7, 8, 8, 8, 9, 9, 9]]
    # A gap between words is no silence: below a fifth of a second it pulls in proportion to its length.
    strengths = strengths * np.where(is_silence, np.clip(length / _PAUSE_S, 0.1, 1) ** 2, 1.0)[:, None]
    reach = style.reach * np.stack([np.broadcast_to(r, targets.shape) for r in (_REACH_BEFORE_S, _REACH_AFTER_S)])
    reach[:, is_silence] = _SILENCE_REACH_S
    blended = np.empty((len(grid_s), len(PARTS)))
    for begin in range(0, len(grid_s), _BLOCK):  # so that memory does not grow with the square of the length
        at = grid_s[begin : begin + _BLOCK, None]
        near = (steady_end > at[0] - _BEYOND_REACH_S) & (steady_start < at[-1] + _BEYOND_REACH_S)
        early = np.maximum(0, steady_start[near] - at)[..., None] / reach[0, near]  # (G, P, 7)
        late = np.maximum(0, at - steady_end[near])[..., None] / reach[1, near]
        dominance = strengths[near] * np.exp(-(early + late))
        pulled = np.einsum("gpk,pk->gk", dominance, targets[near])
        blended[begin : begin + _BLOCK] = pulled / (dominance.sum(axis=1) + 1e-9)
    return blended


def _smoothed(values: NDArray[np.float64], sigma_s: float = 0.016) -> NDArray[np.float64]:
    """Rounds the corners that dominance leaves, without delay."""
    reach = int(4 * sigma_s * GRID_HZ)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (sigma_s * GRID_HZ)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0) @ kernel


def _envelope(
    grid_s: NDArray[np.float64], starts: NDArray[np.float64], ends: NDArray[np.float64], ramp_s: float
) -> NDArray[np.float64]:
    """(G,): 1 within every [start, end], falling to 0 over a raised-cosine ramp on either side."""
    if len(starts) == 0:
        return np.zeros(len(grid_s))
    distance = np.maximum(starts[None] - grid_s[:, None], grid_s[:, None] - ends[None]).min(axis=1)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / ramp_s, 0, 1))


def _closure(phones: TimedPhones, grid_s: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """How closed the lips are in /p b m/, held long enough that no frame rate steps over it."""
    chosen = [k for k, label in enumerate(phones.labels) if label in _BURST_S]
    start = phones.boundaries_s[chosen]
    end = phones.boundaries_s[[k + 1 for k in chosen]] - np.array([_BURST_S[phones.labels[k]] for k in chosen])
    missing = np.maximum(0, max(_CLOSURE_PLATEAU_S, min(1.25 / fps, 0.1)) - (end - start)) / 2
    return _envelope(grid_s, start - missing, end + missing, _CLOSURE_RAMP_S)


def _release(phones: TimedPhones, grid_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G,): 1 where the lips are pressed together most, about 25 ms before /p b/ are released; /m/ has no such moment."""
    ends = [
        phones.boundaries_s[k + 1] - _BURST_S[label] for k, label in enumerate(phones.labels) if label in ("P", "B")
    ]
    return _envelope(grid_s, np.array(ends) - 0.035, np.array(ends) - 0.015, 0.05)


def _teeth(phones: TimedPhones, grid_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the lower lip is at the upper teeth, in /f v/."""
    chosen = [k for k, label in enumerate(phones.labels) if label in ("F", "V")]
    start, end = phones.boundaries_s[chosen], phones.boundaries_s[[k + 1 for k in chosen]]
    inset = np.minimum(0.01, (end - start) / 4)
    return _envelope(grid_s, start + inset, end - inset, _TEETH_RAMP_S)


def _pause(phones: TimedPhones, grid_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the mouth is shut in pauses: fully in those of 0.2 s or more, and outside of the speech."""
    boundaries = phones.boundaries_s
    last = len(phones.labels) - 1
    starts, ends = [], []
    for k, label in enumerate(phones.labels):
        if label == SILENCE and (boundaries[k + 1] - boundaries[k] >= _PAUSE_S or k in (0, last)):
            starts.append(-1.0 if k == 0 else boundaries[k] + 0.09)
            ends.append(grid_s[-1] + 1 if k == last else boundaries[k + 1] - 0.09)
    return _envelope(grid_s, np.array(starts), np.array(ends), 0.10)


def _as_curves(
    parts: NDArray[np.float64],
    closure: NDArray[np.float64],
    teeth: NDArray[np.float64],
    pause: NDArray[np.float64],
    *,
    pressed: NDArray[np.float64],
    style: MouthStyle,
    effort: NDArray[np.float64],
) -> NDArray[np.float64]:
    jaw, pucker, funnel, spread, lower, upper, tongue = parts.T
    awake = 1 - pause
    # On the embedded head a tenth of the jaw's opening is about as much as two fifths of the lips' parting.
    jaw = jaw * style.jaw * (1 - 0.1 * style.lip_share) * effort * awake
    pucker = pucker * style.rounding * effort * awake
    funnel = funnel * style.rounding * effort * awake
    spread = spread * style.spreading * awake
    part = (1 - closure) * awake
    lower = lower * style.lower_lip * (1 + 0.4 * style.lip_share) * effort * part
    upper = upper * style.upper_lip * (1 + 0.4 * style.lip_share) * effort * part
    teeth, closure, press = teeth * awake, closure * awake, style.press * pressed * awake
    left, right = 1 + style.asymmetry, 1 - style.asymmetry
    curves = np.zeros((len(jaw), len(ARKIT_CURVES)))
    column = {name: curves[:, k] for k, name in enumerate(ARKIT_CURVES)}

    column["jawOpen"][:] = jaw
    # Closed lips under an open jaw: the corrective follows the jaw exactly. At the teeth a slit is left.
    column["mouthClose"][:] = jaw * np.maximum(closure, 0.75 * teeth)
    column["mouthPucker"][:] = pucker
    column["mouthFunnel"][:] = funnel * (1 - 0.9 * closure)
    column["mouthRollLower"][:] = 0.55 * teeth + 0.25 * press
    column["mouthRollUpper"][:] = 0.22 * press
    column["mouthShrugLower"][:] = 0.16 * teeth + 0.15 * press
    column["cheekPuff"][:] = 0.08 * press
    column["tongueOut"][:] = tongue * part
    column["jawForward"][:] = style.jaw_forward + 0.10 * funnel + 0.03 * teeth
    column["mouthLeft"][:] = max(style.lateral, 0) + max(style.asymmetry, 0) * 0.2 * jaw
    column["mouthRight"][:] = max(-style.lateral, 0) + max(-style.asymmetry, 0) * 0.2 * jaw
    column["jawLeft"][:] = max(style.lateral, 0) * jaw
    column["jawRight"][:] = max(-style.lateral, 0) * jaw
    for side, gain in (("Left", left), ("Right", right)):
        column["mouthSmile" + side][:] = (0.42 * spread + style.smile) * gain
        column["mouthStretch" + side][:] = 0.40 * spread * gain
        column["mouthDimple" + side][:] = 0.16 * spread * gain
        column["mouthPress" + side][:] = press * gain
        column["mouthLowerDown" + side][:] = lower * (1 - 0.95 * teeth) * gain
        column["mouthUpperUp" + side][:] = np.maximum(upper, 0.2 * teeth * style.upper_lip) * gain * part
        column["noseSneer" + side][:] = 0.06 * upper * gain
    return curves
