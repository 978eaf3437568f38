"""Figures for reading: which phones are confused, and spectrograms side by side. Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.audio.log_mel import LOG_FLOOR, MEL_RATE_HZ
from stages.metrics.visemes import PHONES, viseme_of
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError


def need_matplotlib() -> None:
    """Says what to install before work is done in vain.

    Raises:
        ThunderError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ThunderError(
            "pictures of figures need matplotlib, which is not installed; `pip install matplotlib`, or leave them out"
        ) from error
    mpl.use("Agg")


def draw_confusions(path: Path, counts: NDArray[np.int64], title: str) -> None:
    """Draws a confusion matrix of phones, (P, P) from `count_confusions`, phones of one viseme together in a box.

    Rows are true phones and sum to 1; phones that never occur are left out. Ends in `.png`, `.svg` or `.pdf`.
    """
    need_matplotlib()
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    shown = np.flatnonzero(counts.sum(1) > 0)
    shares = counts[np.ix_(shown, shown)] / counts[shown].sum(1, keepdims=True)
    phones = [PHONES[k] for k in shown]
    figure, axes = plt.subplots(figsize=(8.5, 8), layout="constrained")
    # The root shows small shares, in which the answer lies, beside the diagonal.
    picture = axes.imshow(np.sqrt(shares), cmap="magma_r", vmin=0, vmax=1)
    axes.set_xticks(range(len(phones)), phones, rotation=90, fontsize=7)
    axes.set_yticks(range(len(phones)), phones, fontsize=7)
    axes.set(xlabel="heard", ylabel="true", title=title)
    axes.title.set_fontsize(10)
    visemes = [viseme_of(phone) for phone in phones]
    for viseme in dict.fromkeys(visemes):
        first, size = visemes.index(viseme), visemes.count(viseme)
        axes.add_patch(
            Rectangle((first - 0.5, first - 0.5), size, size, fill=False, edgecolor="tab:blue", linewidth=1.2)
        )
    scale = figure.colorbar(picture, ax=axes, shrink=0.7, label="share of the true phone's frames")
    ticks = np.array([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0])
    scale.set_ticks(np.sqrt(ticks).tolist(), labels=[f"{tick:g}" for tick in ticks])
    with whole_or_none(path) as partial:
        figure.savefig(partial, dpi=110, metadata=_NO_DATE.get(path.suffix))
    plt.close(figure)


# The same figures make the same file.
_NO_DATE = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def draw_spectrograms(
    path: Path, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[NDArray[np.float32]]]]
) -> None:
    """Draws log-mel spectrograms (L, 80), natural logarithm, side by side on one scale.

    Args:
        path: ends in `.png`, `.svg` or `.pdf`.
        columns: what each column shows.
        rows: name of a clip, and its spectrogram for each column.
    """
    need_matplotlib()
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(
        len(rows), len(columns), figsize=(4.2 * len(columns), 1.9 * len(rows)), squeeze=False, layout="constrained"
    )
    for (name, mels), line in zip(rows, grid, strict=True):
        for mel, axes in zip(mels, line, strict=True):
            axes.imshow(
                mel.T, origin="lower", aspect="auto", cmap="magma", vmin=LOG_FLOOR / 1.5, vmax=3.0,
                extent=(0, len(mel) / MEL_RATE_HZ, 0, mel.shape[1]),
            )  # fmt: skip
            axes.tick_params(labelsize=7)
        line[0].set_ylabel(f"{name}\nmel band", fontsize=8)
    for axes, column in zip(grid[0], columns, strict=True):
        axes.set_title(column, fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("s", fontsize=8)
    with whole_or_none(path) as partial:
        figure.savefig(partial, dpi=90, metadata=_NO_DATE.get(path.suffix))
    plt.close(figure)


class WordCloud(NamedTuple):
    """Where occurrences of two words lie in a plane: (n, 2) of the first, (m, 2) of the second, and what to write above."""

    first: NDArray[np.float32]
    second: NDArray[np.float32]
    title: str


def draw_word_pairs(path: Path, rows: Sequence[tuple[tuple[str, str], Sequence[WordCloud]]]) -> None:
    """Draws pairs of words as clouds of points, a pair a row, side by side as different inputs show them.

    Args:
        path: ends in `.png`, `.svg` or `.pdf`.
        rows: the two words, and a cloud for each column.
    """
    need_matplotlib()
    import matplotlib.pyplot as plt

    columns = len(rows[0][1])
    figure, grid = plt.subplots(
        len(rows), columns, figsize=(4.2 * columns, 3.6 * len(rows)), squeeze=False, layout="constrained"
    )
    for (words, clouds), line in zip(rows, grid, strict=True):
        for cloud, axes in zip(clouds, line, strict=True):
            for word, points, marker in zip(words, cloud[:2], "ox", strict=True):
                axes.scatter(*points.T, s=30, marker=marker, alpha=0.8, label=f"{word} ({len(points)})")
            axes.set_title(cloud.title, fontsize=10)
            axes.set(xticks=[], yticks=[])
        line[0].legend(fontsize=8)
    with whole_or_none(path) as partial:
        figure.savefig(partial, dpi=110, metadata=_NO_DATE.get(path.suffix))
    plt.close(figure)
