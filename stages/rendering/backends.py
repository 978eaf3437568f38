"""Who finds which face a pixel sees: our rasteriser, or PyTorch3D's where it is installed."""

from collections.abc import Callable
from typing import Literal

from stages.rendering.pytorch3d_rasteriser import rasterise_by_pytorch3d
from stages.rendering.rasteriser import Fragments, rasterise
from stages.runtime.pytorch3d import check_pytorch3d

Backend = Literal["torch", "pytorch3d"]


def rasteriser_of(backend: Backend) -> Callable[..., Fragments]:
    """The rasteriser of that name; both take what `rasteriser.rasterise` takes.

    Raises:
        ThunderError: PyTorch3D is asked for and not installed.
    """
    if backend == "torch":
        return rasterise
    check_pytorch3d()
    return rasterise_by_pytorch3d
