"""Where the shipped files are: beside the packages in a source tree, in `thunder_assets` in an installed wheel."""

from pathlib import Path

from stages.runtime.errors import ThunderError


def asset_path(name: str) -> Path:
    """Path of a shipped file.

    Args:
        name: path inside `assets/`, with forward slashes.

    Raises:
        ThunderError: the file is not part of this installation.
    """
    root = Path(__file__).resolve().parents[2]
    folders = (root / "assets", root / "thunder_assets")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ThunderError(
        f"shipped file {name} not found in {' or '.join(map(str, folders))}: this installation is incomplete, "
        f"install thunder again"
    )
