"""`thunder doctor`, on a torchaudio of our own making whose extension fails as the real one does."""

import sys
from pathlib import Path

import pytest
import torch

from stages import doctor
from stages.corpora.synthesis import festival, flite
from stages.doctor import Check, examine
from stages.runtime.errors import ThunderError

INIT = """
from pathlib import Path
__version__ = "2.0"
{always}
for library in sorted((Path(__file__).parent / "lib").glob("*.so")):
    raise OSError(f"Could not load this library: {{library.name}}")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site-packages with a torchaudio that two libraries keep from importing, and a torch without a GPU."""
    folder = tmp_path / "torchaudio"
    (folder / "lib").mkdir(parents=True)
    for name in ("_torchaudio.so", "libtorchaudio.so", "__init__.py"):
        (folder / "lib" / name).write_text(name)
    (folder / "__init__.py").write_text(INIT.format(always=""))
    for module in [m for m in sys.modules if m.split(".")[0] == "torchaudio"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("cuda", "hip", "xpu"):
        monkeypatch.setattr(torch.version, name, None, raising=False)
    return folder


def torchaudio(*, fix: bool = False) -> Check:
    return next(check for check in examine(fix=fix) if check.name == "torchaudio")


def libraries(package: Path) -> dict[str, list[str]]:
    return {f.name: sorted(p.name for p in f.glob("*.so")) for f in sorted(package.glob("lib*"))}


BOTH = ["_torchaudio.so", "libtorchaudio.so"]


def test_a_failing_extension_is_found_and_left(package: Path) -> None:
    check = torchaudio()
    assert (check.status, check.remedy) == ("fail", "run `thunder doctor --fix`")
    assert "wants CUDA" in check.found
    assert libraries(package) == {"lib": BOTH}


def test_fix_moves_it_aside_once(package: Path) -> None:
    for _ in range(2):
        assert torchaudio(fix=True).status == "ok"
        assert libraries(package) == {"lib": [], "lib.aside": BOTH}
        assert (package / "lib" / "__init__.py").exists()
    assert torchaudio() == Check("torchaudio", "ok", "2.0")


def test_fix_that_does_not_help_is_undone(package: Path) -> None:
    (package / "__init__.py").write_text(INIT.format(always="raise ImportError('no numpy')"))
    check = torchaudio(fix=True)
    assert check.status == "fail"
    assert "no numpy" in check.found
    assert "put back" in check.remedy
    assert libraries(package) == {"lib": BOTH}


def test_fix_that_cannot_move_is_undone(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "libtorchaudio.so":
            raise PermissionError(13, "Permission denied", str(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    check = torchaudio(fix=True)
    assert check.status == "fail"
    assert "cannot be moved" in check.found
    assert libraries(package)["lib"] == BOTH


@pytest.mark.parametrize("name", ["cuda", "hip", "xpu"])
def test_a_gpu_build_is_never_touched(package: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.version, name, "13.0", raising=False)
    check = torchaudio(fix=True)
    assert check.status == "fail"
    assert "Could not load this library" in check.found
    assert "install the torchaudio that belongs to your torch" in check.remedy
    assert libraries(package) == {"lib": BOTH}


def test_an_unknown_torch_is_never_touched(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    checks = {check.name: check for check in examine(fix=True)}
    assert (checks["torch"].status, checks["torch"].remedy) == ("fail", "pip install torch")
    assert checks["torchaudio"].status == "fail"
    assert libraries(package) == {"lib": BOTH}


def test_no_torchaudio_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "_try_import", lambda name: "error: No module named 'torchaudio'")
    assert torchaudio() == Check("torchaudio", "fail", "not installed", "pip install torchaudio")


def test_a_machine_in_order_needs_no_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_try_import", lambda name: "2.0")
    checks = examine()
    assert {c.name for c in checks} >= {"python", "cores", "torch", "torchaudio", "ffmpeg", "espeak-ng", "pytorch3d"}
    assert all(c.remedy == "" for c in checks if c.status == "ok")
    assert {c.status for c in checks if c.name not in ("pytorch3d", "torchaudio", "flite", "festival")} == {"ok"}


def test_a_pytorch3d_that_does_not_load_is_said_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_try_import", lambda name: "error: undefined symbol: _ZN3c10")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    check = doctor._examine_pytorch3d()
    assert (check.status, check.found) == ("note", "error: undefined symbol: _ZN3c10")
    assert "--no-build-isolation" in check.remedy
    monkeypatch.setattr(doctor, "_try_import", lambda name: "<module 'pytorch3d._C' from '_C.so'> 0.7.9")
    assert doctor._examine_pytorch3d() == Check("pytorch3d", "ok", "0.7.9")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check = doctor._examine_pytorch3d()
    assert (check.status, check.found) == ("note", "not installed")
    assert "git+https://github.com/facebookresearch/pytorch3d" in check.remedy


def test_an_aligner_that_is_missing_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    check = engine("pocketsphinx")
    assert (check.status, check.found) == ("note", "not installed")
    assert "`thunder articulate`" in check.remedy


def engine(name: str) -> Check:
    return next(check for check in examine() if check.name == name)


def test_missing_speech_engines_are_a_note_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    assert engine("flite") == Check(
        "flite",
        "note",
        "not installed",
        "optional voices for `synthesize --engine flite`; Debian: `apt-get install flite`",
    )
    check = engine("festival")
    assert check.status == "note"
    assert "`apt-get install festival festvox-" in check.remedy


def test_voices_of_a_speech_engine_are_listed_and_missing_ones_named(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = ("it", 100.0, 150.0)
    monkeypatch.setattr("shutil.which", lambda program: "/usr/bin/" + program)
    monkeypatch.setattr(flite, "version", lambda: "2.2")
    monkeypatch.setattr(flite, "voices", lambda language: dict.fromkeys(flite.VOICES, facts))
    assert engine("flite") == Check("flite", "ok", "2.2, voices: slt, rms, awb, kal16")
    monkeypatch.setattr(festival, "version", lambda: "2.5")
    monkeypatch.setattr(festival, "voices", lambda language: {"lp_diphone": facts} if language == "it" else {})
    check = engine("festival")
    assert (check.status, check.found) == ("note", "2.5, voices: lp_diphone")
    assert check.remedy.endswith(
        "`apt-get install festvox-itapc16k festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts`"
    )


def test_a_speech_engine_that_fails_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(language: str) -> dict[str, tuple[str, float, float]]:
        raise ThunderError("flite: ended with 127 (no message); is it installed whole?")

    monkeypatch.setattr("shutil.which", lambda program: "/usr/bin/" + program)
    monkeypatch.setattr(flite, "voices", fails)
    assert (engine("flite").status, "127" in engine("flite").found) == ("note", True)
