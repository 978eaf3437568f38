"""Where the shipped files are: beside the packages in a source tree, in `thunder_assets` in an installed wheel."""

from pathlib import Path

from stages.runtime.errors import ThunderError

_ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = (_ROOT / "assets", _ROOT / "thunder_assets")


def asset_path(name: str) -> Path:
    """Path of a shipped file.

    Args:
        name: path inside `assets/`, with forward slashes.

    Raises:
        ThunderError: the file is not part of this installation.
    """
    found = find_asset(name)
    if found is not None:
        return found
    raise ThunderError(
        f"shipped file {name} not found in {' or '.join(map(str, _FOLDERS))}: this installation is incomplete, "
        f"install thunder again"
    )


def files_at_hand(*names: str) -> list[Path]:
    """The files of these names in the current folder, then the shipped file of the first name, as far as there are any."""
    here = [Path(name) for name in names if Path(name).exists()]
    shipped = find_asset(names[0])
    return here if shipped is None else [*here, shipped]


def find_asset(name: str) -> Path | None:
    """Path of a shipped file, or None where this installation lacks one that can be done without."""
    return next((folder / name for folder in _FOLDERS if (folder / name).is_file()), None)
