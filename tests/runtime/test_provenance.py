"""Provenance, failures, devices, assets and files that are whole or none."""

import errno
import hashlib
import os
import sys
from pathlib import Path

import pytest
import torch

from stages.runtime.assets import asset_path
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.devices import resolve_device
from stages.runtime.errors import Failure, ThunderError, explained_write, summarise_failures
from stages.runtime.progress import silent
from stages.runtime.provenance import Provenance, hash_inputs, sha256_of_file, sha256_of_listing


def test_hashes_of_files_and_folders(tmp_path: Path) -> None:
    file = tmp_path / "b.wav"
    file.write_bytes(b"abc")
    # The SHA-256 of "abc", from FIPS 180-4's examples.
    assert sha256_of_file(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_bytes(b"12345")
    assert sha256_of_listing(tmp_path) == hashlib.sha256(b"a/x.txt 5\nb.wav 3").hexdigest()
    assert hash_inputs(corpus=tmp_path, model=None, sound=file) == {
        "corpus": sha256_of_listing(tmp_path),
        "sound": sha256_of_file(file),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes are Linux's")
def test_names_that_are_no_text_are_hashed(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")).write_bytes(b"1")
    assert sha256_of_listing(tmp_path) == hashlib.sha256(b"\xff.wav 1").hexdigest()


def test_the_command_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/thunder", "sample", "my speech.wav"])
    assert Provenance(seed=0).command == "thunder sample 'my speech.wav'"


def test_many_failures_are_one_line() -> None:
    failures = [Failure(f"c{k}", "silent") for k in range(7)]
    assert summarise_failures(failures[:1], 9, "clips") == "1 of 9 clips failed: c0: silent"
    assert summarise_failures(failures, 9, "clips").endswith("c4: silent; and 2 more")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_whole_or_none_on_a_full_disk(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def fill() -> None:
        with whole_or_none(path) as partial:
            assert partial.suffix == ".csv"
            partial.write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(ThunderError, match="nothing was left behind, free some space or choose another --output"):
        fill()
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    assert path.read_text() == "old"
    with whole_or_none(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_device_that_is_full() -> None:
    with pytest.raises(ThunderError, match=r"a\.txt: the disk is full"), explained_write(Path("a.txt")):
        Path("/dev/full").write_text("x")


def test_a_refused_input_is_not_mistaken_for_the_output(tmp_path: Path) -> None:
    path = tmp_path / "out" / "a.h5"
    with pytest.raises(PermissionError), explained_write(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "in" / "speech.wav"))
    with pytest.raises(ThunderError, match="no permission to write here"), explained_write(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path.parent / ".a.h5.partial"))


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for has_cuda, chosen in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has=has_cuda: has)
        assert resolve_device("auto").type == chosen
    for name in ("tpu9", "cuda:99", "meta", ""):
        with pytest.raises(ThunderError, match=r"cannot be used on this machine; give --device auto or cpu"):
            resolve_device(name)


def test_a_missing_asset_is_named() -> None:
    with pytest.raises(ThunderError, match=r"shipped file none\.h5 not found in .*install thunder again"):
        asset_path("none.h5")


def test_silence_takes_what_a_bar_takes() -> None:
    with silent("training", total=3) as advance:
        advance()
        advance(2, loss=0.5, stage="b")
