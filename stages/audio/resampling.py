"""Change of sample rate by a windowed sinc, block by block, for any ratio of rates.

Output sample n stands at input position n * rate / target exactly, so nothing shifts or drifts however long the sound is.
The low-pass lies below the lower of the two Nyquist frequencies: what the output cannot carry is removed, never folded.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

# The choice is ours: 32 zero crossings a side under a Kaiser window of beta 8 stop 80 dB within a transition of 0.16
# Nyquist, centred at 0.945; at 16 kHz all is kept to 6.9 kHz and nothing is left from 8.2 kHz on.
_ZERO_CROSSINGS = 32
_ROLLOFF = 0.945
_KAISER_BETA = 8.0
_OUTPUTS_AT_ONCE = 1 << 14


def resample(waveform: NDArray[np.float32], rate_hz: int, target_hz: int) -> NDArray[np.float32]:
    """Resamples a whole waveform.

    Args:
        waveform: (S,), mono.
        rate_hz: its sample rate.
        target_hz: the wanted one.

    Returns:
        (ceil(S * target_hz / rate_hz),) float32.
    """
    return np.concatenate([np.zeros(0, np.float32), *resample_blocks([waveform], rate_hz, target_hz)])


def resample_blocks(
    blocks: Iterable[NDArray[np.float32]], rate_hz: int, target_hz: int
) -> Iterator[NDArray[np.float32]]:
    """Resamples a stream of blocks; the result does not depend on where the blocks were cut.

    Args:
        blocks: arrays (n,) of consecutive mono samples.
        rate_hz: their sample rate.
        target_hz: the wanted one.

    Yields:
        arrays (n,) float32 of consecutive samples.
    """
    if rate_hz == target_hz:
        yield from (np.asarray(block, np.float32) for block in blocks)
        return
    divisor = math.gcd(rate_hz, target_hz)
    up, down = target_hz // divisor, rate_hz // divisor
    kernel = _kernel(up, down)
    reach = kernel.shape[1] // 2
    # `held` starts `reach - 1` samples before input position `first`, which is that of the next output.
    held = np.zeros(reach - 1, np.float32)
    first = num_read = num_done = 0
    for block in blocks:
        held = np.concatenate([held, block.astype(np.float32, copy=False)])
        num_read += len(block)
        num_ready = max(num_done, -(-(num_read - reach) * up // down))  # outputs whose whole window has been read
        yield from _apply(kernel, held, first, range(num_done, num_ready), up=up, down=down)
        num_done = num_ready
        position = num_done * down // up
        held, first = held[position - first :], position
    held = np.concatenate([held, np.zeros(reach + 1, np.float32)])
    yield from _apply(kernel, held, first, range(num_done, -(-num_read * up // down)), up=up, down=down)


def _kernel(up: int, down: int) -> NDArray[np.float32]:
    """Weights (up, taps) of each phase: row k serves outputs that stand k / up of a sample after an input sample."""
    cutoff = _ROLLOFF * min(1.0, up / down)
    reach = math.ceil(_ZERO_CROSSINGS / cutoff)
    offsets = np.arange(1 - reach, reach + 1) - np.arange(up)[:, None] / up
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1.0 - (offsets / reach) ** 2, 0.0, 1.0)))
    weights = np.sinc(cutoff * offsets) * window
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _apply(
    kernel: NDArray[np.float32], held: NDArray[np.float32], first: int, outputs: range, *, up: int, down: int
) -> Iterator[NDArray[np.float32]]:
    for start in range(outputs.start, outputs.stop, _OUTPUTS_AT_ONCE):
        position, phase = np.divmod(np.arange(start, min(start + _OUTPUTS_AT_ONCE, outputs.stop)) * down, up)
        windows = sliding_window_view(held, kernel.shape[1])[position - first]
        yield np.einsum("nt,nt->n", windows, kernel[phase])
