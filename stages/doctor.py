"""What this machine can do, and how to mend what it cannot."""

import importlib.util
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Where torchaudio's compiled extension goes when it cannot load; `torchaudio` only loads from `lib`.
_ASIDE = "lib.aside"


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
    if not libraries or _torch_has_cuda():
        return Check("torchaudio", "fail", found, "install the torchaudio that belongs to your torch, then try again")
    if not fix:
        return Check(
            "torchaudio", "fail", "its compiled extension wants CUDA, this torch has none", "run `thunder doctor --fix`"
        )
    aside = folder / _ASIDE
    aside.mkdir(exist_ok=True)
    for library in libraries:
        library.replace(aside / library.name)
    found = _try_import("torchaudio")
    if found.startswith("error:"):
        for library in libraries:
            (aside / library.name).replace(library)
        return Check("torchaudio", "fail", found, "moving its extension aside did not help, so it was put back")
    return Check("torchaudio", "ok", f"{found}; its CUDA extension was moved to {aside}")


def _try_import(module: str) -> str:
    """Version of a module imported in a fresh interpreter, where a failed import leaves nothing behind."""
    program = f"import {module}; print({module}.__version__)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else f"error: {_last_line(result.stderr)}"


def _torch_has_cuda() -> bool:
    try:
        import torch
    except (ImportError, OSError):
        return True  # unknown: leave everything as it is
    return torch.version.cuda is not None or torch.version.hip is not None


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


def _examine_pytorch3d() -> Check:
    if importlib.util.find_spec("pytorch3d") is not None:
        return Check("pytorch3d", "ok", "installed")
    return Check("pytorch3d", "note", "not installed", "optional second renderer; nothing needs it")


def _last_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
