"""PyTorch3D, which is optional, and in no package index: whether it is here, and how to get it."""

from stages.runtime.errors import ThunderError

# It builds against the torch that is there, which pip hides from a build if not told otherwise.
INSTALL = 'pip install --no-build-isolation "git+https://github.com/facebookresearch/pytorch3d.git"'


def check_pytorch3d() -> None:
    """Makes sure that PyTorch3D rasterises here.

    Raises:
        ThunderError: it is not installed, or does not load beside this torch.
    """
    try:
        from pytorch3d.renderer.mesh import rasterize_meshes  # noqa: F401
        from pytorch3d.structures import Meshes  # noqa: F401
    except ModuleNotFoundError as error:
        raise ThunderError(
            f"--backend pytorch3d: there is no module {error.name}; `{INSTALL}`, or leave the option out"
        ) from error
    except (ImportError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ThunderError(
            f"--backend pytorch3d: it does not load beside this torch ({reason}); build it anew: `{INSTALL}`, or leave the "
            f"option out"
        ) from error
