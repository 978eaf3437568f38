"""What this machine can do, and how to mend what it cannot."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Where torchaudio's compiled extension goes when it cannot load; `torchaudio` only loads from `lib`.
_ASIDE = "lib.aside"
_REINSTALL = "install the torchaudio that belongs to your torch, then try again"


@dataclass(frozen=True)
class Check:
    """One thing looked at: `ok`, `note` (works, with less) or `fail`, what was found, and what to do about it."""

    name: str
    status: str
    found: str
    remedy: str = ""


def examine(*, fix: bool = False) -> list[Check]:
    """Looks at everything the toolkit needs.

    Args:
        fix: also mend what can be mended safely: a torchaudio extension that cannot load is moved aside.
    """
    checks = [
        Check(
            "python", "ok" if sys.version_info >= (3, 11) else "fail", platform.python_version(), "needs 3.11 or newer"
        ),
        Check("cores", "ok", str(os.cpu_count())),
        _examine_torch(),
        _examine_torchaudio(fix=fix),
        _examine_ffmpeg(),
        _examine_espeak(),
        _examine_flite(),
        _examine_festival(),
        _examine_pocketsphinx(),
        _examine_pytorch3d(),
    ]
    return [check if check.status != "ok" else Check(check.name, check.status, check.found) for check in checks]


def _examine_torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch", "fail", _last_line(error), "pip install torch")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA device"
    return Check("torch", "ok", f"{torch.__version__}, {gpu}")


def _examine_torchaudio(*, fix: bool) -> Check:
    """torchaudio's wheel has an extension that wants CUDA libraries; with torch's CPU build its import fails.

    Everything the toolkit takes from torchaudio is pure Python, so the extension may go, but only where torch has no
    CUDA: on a CUDA build a failing import has another cause, which moving files would hide.
    """
    found = _try_import("torchaudio")
    if not found.startswith("error:"):
        return Check("torchaudio", "ok", found)
    spec = importlib.util.find_spec("torchaudio")
    if spec is None or spec.origin is None:
        return Check("torchaudio", "fail", "not installed", "pip install torchaudio")
    folder = Path(spec.origin).parent
    libraries = sorted((folder / "lib").glob("*.so")) + sorted((folder / "lib").glob("*.pyd"))
    if not libraries or _torch_has_gpu_build():
        return Check("torchaudio", "fail", found, _REINSTALL)
    if not fix:
        return Check(
            "torchaudio", "fail", "its compiled extension wants CUDA, this torch has none", "run `thunder doctor --fix`"
        )
    return _move_extension_aside(folder, libraries)


def _move_extension_aside(folder: Path, libraries: list[Path]) -> Check:
    aside = folder / _ASIDE
    try:
        _move(libraries, aside)
    except OSError as error:
        return Check("torchaudio", "fail", f"its compiled extension cannot be moved: {error}", _REINSTALL)
    found = _try_import("torchaudio")
    if found.startswith("error:"):
        _move([aside / library.name for library in libraries], folder / "lib")
        if not any(aside.iterdir()):
            aside.rmdir()
        return Check(
            "torchaudio", "fail", found, f"moving its extension aside did not help, so it was put back; {_REINSTALL}"
        )
    return Check("torchaudio", "ok", f"{found}; its CUDA extension was moved to {aside}")


def _move(files: list[Path], folder: Path) -> None:
    """Moves all files into a folder, or none of them.

    Raises:
        OSError: a file cannot be moved.
    """
    folder.mkdir(exist_ok=True)
    moved: list[Path] = []
    try:
        for file in files:
            file.replace(folder / file.name)
            moved.append(file)
    except OSError:
        for file in moved:
            (folder / file.name).replace(file)
        raise


def _try_import(module: str) -> str:
    """Version of a module imported in a fresh interpreter, where a failed import leaves nothing behind."""
    program = f"import {module}; print({module}.__version__)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return _last_line(result.stdout) if result.returncode == 0 else f"error: {_last_line(result.stderr)}"


def _torch_has_gpu_build() -> bool:
    try:
        import torch
    except (ImportError, OSError):
        return True  # unknown: leave everything as it is
    # ROCm and Intel builds have extensions of their own, which must stay as well.
    return any(getattr(torch.version, name, None) is not None for name in ("cuda", "hip", "xpu"))


def _examine_ffmpeg() -> Check:
    from stages.audio.ffmpeg_binary import find_ffmpeg
    from stages.runtime.errors import ThunderError

    try:
        return Check("ffmpeg", "ok", find_ffmpeg())
    except ThunderError as error:
        return Check("ffmpeg", "fail", str(error), "pip install imageio-ffmpeg, or install ffmpeg")


def _examine_espeak() -> Check:
    try:
        import espeakng_loader

        return Check("espeak-ng", "ok", str(espeakng_loader.get_library_path()))
    except (ImportError, OSError, RuntimeError) as error:
        return Check("espeak-ng", "fail", _last_line(error), "pip install espeakng-loader; only `synthesize` needs it")


def _examine_flite() -> Check:
    from stages.corpora.synthesis import flite

    return _examine_voices("flite", flite, ("en",), dict.fromkeys(flite.VOICES, "flite"))


def _examine_festival() -> Check:
    from stages.corpora.synthesis import festival

    return _examine_voices("festival", festival, ("en", "it"), festival.PACKAGES)


def _examine_voices(engine: str, program: Any, languages: tuple[str, ...], packages: dict[str, str]) -> Check:
    """The recorded voices of an engine that is a program of its own; `synthesize` does without them."""
    from stages.runtime.errors import ThunderError

    if shutil.which(engine) is None:
        return Check(engine, "note", "not installed", _recorded_voices(engine, sorted({engine, *packages.values()})))
    try:
        names = [name for language in languages for name in program.voices(language)]
        found = f"{program.version()}, voices: {', '.join(names) or 'none'}"
    except ThunderError as error:
        return Check(engine, "note", str(error), f"install {engine} anew; only `synthesize --engine {engine}` needs it")
    missing = sorted({package for name, package in packages.items() if name not in names})
    return Check(engine, "note" if missing else "ok", found, _recorded_voices(engine, missing))


def _recorded_voices(engine: str, packages: list[str]) -> str:
    return f"optional voices for `synthesize --engine {engine}`; Debian: `apt-get install {' '.join(packages)}`"


def _examine_pocketsphinx() -> Check:
    from stages.corpora.synthesis import forced_alignment
    from stages.runtime.errors import ThunderError

    try:
        return Check("pocketsphinx", "ok", forced_alignment.version())
    except ThunderError:
        remedy = "optional, for `thunder articulate` of recordings without phone times: pip install pocketsphinx"
        return Check("pocketsphinx", "note", "not installed", remedy)


def _examine_pytorch3d() -> Check:
    from stages.runtime.pytorch3d import INSTALL

    remedy = f"optional, for `thunder render --backend pytorch3d`: {INSTALL}"
    if importlib.util.find_spec("pytorch3d") is None:
        return Check("pytorch3d", "note", "not installed", remedy)
    # Built beside another torch, its extension is there and does not load. The version is said last.
    found = _try_import("pytorch3d._C, pytorch3d")
    if found.startswith("error:"):
        return Check("pytorch3d", "note", found, remedy)
    return Check("pytorch3d", "ok", found.split()[-1])


def _last_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
