"""Heads of raw-vertex corpora: motion features are the principal components of displacements from the face at rest.

The components are those of displacements, not of their distance from a mean, so that motion 0 is the face at rest. They are
found in one pass over blocks of frames: the singular vectors of all frames seen so far, times their singular values, stand
for those frames when the next block comes (the sequential Karhunen-Loeve transform of Levy and Lindenbaum, IEEE Trans. Image
Processing 2000). Memory is that of one block, whatever the corpus. Blocks are merged in float32, the precision of the corpora;
what is left at the end is made orthonormal in float64.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.head_record import HeadRecord
from stages.runtime.errors import ThunderError

# Components kept beyond the wanted ones while frames come in, so that what a block adds is not lost at the margin.
_SPARE_COMPONENTS = 32
_BLOCK_FRAMES = 128
# Columns of the frames that are multiplied at a time: what is in a processor's cache.
_COLUMNS = 4096
# Directions this much weaker than the first are rounding errors of float32 corpora.
_RELATIVE_FLOOR = 1e-6


def fit_displacement_head(
    surface: HeadRecord, displacements: Iterable[NDArray[np.float32]], num_components: int
) -> HeadRecord:
    """Gives a head without motion features a basis of principal displacements.

    Args:
        surface: template, faces, regions and landmarks.
        displacements: arrays (n, V, 3) of vertices minus their subject's template, head units.
        num_components: K; fewer where the frames span fewer.

    Returns:
        A displacement head with features `pc000` ...; arrays `basis` (K, V, 3), orthonormal as K vectors of 3V, strongest
        first, and `explained_variance` (K,), the fraction of all squared displacement that each accounts for.

    Raises:
        ThunderError: no frame moves.
    """
    num_kept = num_components + _SPARE_COMPONENTS
    # The first rows are singular vectors times singular values, frames follow.
    rows = np.empty((num_kept + _BLOCK_FRAMES, 3 * len(surface.template)), np.float32)
    filled, energy = 0, 0.0
    for block in displacements:
        frames = block.reshape(len(block), -1)
        energy += float(np.einsum("nd,nd->", frames, frames, dtype=np.float64))
        while len(frames):
            taken = min(len(frames), len(rows) - filled)
            rows[filled : filled + taken] = frames[:taken]
            filled, frames = filled + taken, frames[taken:]
            if filled == len(rows):
                filled = _merge(rows, num_kept)
    if filled > num_kept:
        filled = _merge(rows[:filled], num_kept)
    scaled = rows[:filled].astype(np.float64)
    _merge(scaled, num_kept)
    values = np.linalg.norm(scaled, axis=1)
    if not len(values) or values[0] == 0.0:
        raise ThunderError(
            f"head {surface.name}: no frame differs from the face at rest, so there is no motion to learn"
        )
    count = min(num_components, int((values > _RELATIVE_FLOOR * values[0]).sum()))
    basis = scaled[:count] / values[:count, None]
    # A singular vector has no sign; the same corpus should give the same one on every machine.
    basis *= np.sign(basis[np.arange(count), np.abs(basis).argmax(axis=1)])[:, None]
    return replace(
        surface,
        kind="displacement",
        features=tuple(f"pc{k:03d}" for k in range(count)),
        arrays={
            "basis": basis.reshape(count, -1, 3).astype(np.float32),
            "explained_variance": (values[:count] ** 2 / energy).astype(np.float32),
        },
    )


def _merge(rows: NDArray[Any], num_kept: int) -> int:
    """Puts the strongest singular vectors of all rows, times their values, in place of the first rows; strongest first.

    They come by way of the small matrix of the rows' inner products.

    Returns:
        How many there are: `num_kept`, or all.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        products = (rows @ rows.T).astype(np.float64)
    if not np.isfinite(products).all():  # Too large for float32, as only damaged frames are.
        products = rows.astype(np.float64) @ rows.T.astype(np.float64)
    _, vectors = np.linalg.eigh(products)
    strongest = vectors[:, ::-1][:, :num_kept].T.astype(rows.dtype)
    for start in range(0, rows.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        rows[: len(strongest), columns] = strongest @ rows[:, columns]
    return len(strongest)


def project(head: HeadRecord, displacements: NDArray[np.float32]) -> NDArray[np.float32]:
    """Motion (T, K) that comes nearest to displacements (T, V, 3) from the subject's template."""
    basis = head.arrays["basis"]
    return displacements.reshape(len(displacements), -1) @ basis.reshape(len(basis), -1).T


@dataclass
class ReconstructionError:
    """How far vertices played from motion lie from the exact ones, by region, over all frames added so far.

    Attributes:
        mean_mm: region -> mean distance in millimetres, over vertices and frames (head units where those are no metres).
        max_mm: region -> the largest.
    """

    num_frames: int = 0
    mean_mm: dict[str, float] = field(default_factory=dict)
    max_mm: dict[str, float] = field(default_factory=dict)

    def add(self, head: HeadRecord, motion: NDArray[np.float32], displacements: NDArray[np.float32]) -> None:
        """Takes in some frames: motion (T, K), displacements (T, V, 3)."""
        basis = head.arrays["basis"]
        away = motion @ basis.reshape(len(basis), -1)
        away -= displacements.reshape(len(displacements), -1)
        np.square(away, out=away)
        squared = away[:, 0::3] + away[:, 1::3]
        squared += away[:, 2::3]  # (T, V)
        distances = np.sqrt(squared, out=squared)
        scale = 1000.0 if head.units == "m" else 1.0
        found = {
            name: distances if name == "all" else distances[:, indices]
            for name, indices in {"all": None, **head.regions}.items()
        }
        means = {name: scale * float(inside.mean()) for name, inside in found.items() if inside.size}
        largest = {name: scale * float(inside.max()) for name, inside in found.items() if inside.size}
        self.merge(ReconstructionError(len(motion), means, largest))

    def merge(self, other: "ReconstructionError") -> None:
        """Takes in frames that were measured elsewhere."""
        total = self.num_frames + other.num_frames
        for name, mean in other.mean_mm.items():
            before = self.mean_mm.get(name, 0.0)
            self.mean_mm[name] = before + (mean - before) * other.num_frames / total
            self.max_mm[name] = max(self.max_mm.get(name, 0.0), other.max_mm[name])
        self.num_frames = total

    def figures(self, head: HeadRecord) -> dict[str, float]:
        """Plain numbers by name, as an artifact stores them; undone by `from_figures`."""
        unit = _unit(head)
        figures = {
            "explained_variance": float(head.arrays["explained_variance"].sum()),
            "frames": float(self.num_frames),
        }
        for region, mean in self.mean_mm.items():
            figures |= {f"{region}_mean_{unit}": mean, f"{region}_max_{unit}": self.max_mm[region]}
        return figures

    @classmethod
    def from_figures(cls, head: HeadRecord, figures: dict[str, float]) -> "ReconstructionError":
        """What `figures` were made of."""
        mean, largest = (
            {name.removesuffix(end): value for name, value in figures.items() if name.endswith(end)}
            for end in (f"_mean_{_unit(head)}", f"_max_{_unit(head)}")
        )
        return cls(int(figures.get("frames", 0)), mean, largest)


def _unit(head: HeadRecord) -> str:
    return "mm" if head.units == "m" else "units"
