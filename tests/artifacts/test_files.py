"""Opening, refusing and atomically writing artifacts."""

import json
import resource
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest

from stages.artifacts.files import (
    SCHEMAS,
    check_output,
    read_array,
    read_artifact,
    read_json_attribute,
    read_names,
    write_array,
    write_artifact,
    write_names,
)
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance, toolkit_version
from tests.builders import small_dataset

PROVENANCE = Provenance(
    seed=3, config={"steps": 10, "name": "Grüße"}, inputs={"corpus": "ab12"}, command="thunder x 'ä b'"
)


def write(path: Path, value: float = 1.0, *, force: bool = False) -> Path:
    with write_artifact(path, "thunder.training", PROVENANCE, force=force) as file:
        write_array(file, "numbers", np.full(4, value), "n", "m")
        write_names(file, "names", ("jawOpen", "приве́т", ""), "D")
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def one_line(error: pytest.ExceptionInfo[ThunderError], path: Path) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def in_subprocess(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_root_attributes_say_what_the_file_is_and_what_made_it(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5"), "r") as file:
        attrs = dict(file.attrs)
    created = datetime.fromisoformat(attrs.pop("created_utc"))
    assert created.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)
    assert json.loads(attrs.pop("config")) == {"steps": 10, "name": "Grüße"}
    assert json.loads(attrs.pop("inputs")) == {"corpus": "ab12"}
    assert attrs == {
        "schema": "thunder.training",
        "schema_version": 1,
        "toolkit_version": toolkit_version(),
        "command": "thunder x 'ä b'",
        "seed": 3,
    }


def test_arrays_carry_axes_and_units_and_come_back(tmp_path: Path) -> None:
    with read_artifact(write(tmp_path / "a.h5"), "thunder.training") as file:
        assert dict(file["numbers"].attrs) == {"axes": "n", "units": "m"}
        assert dict(file["names"].attrs) == {"axes": "D"}
        np.testing.assert_array_equal(read_array(file, "numbers", ndim=1), np.ones(4))
        assert read_names(file, "names") == ("jawOpen", "приве́т", "")


def test_a_name_that_is_not_unicode_is_no_obstacle(tmp_path: Path) -> None:
    """A path in the command may hold any bytes."""
    odd = b"thunder sample \xff.wav".decode(errors="surrogateescape")
    with write_artifact(tmp_path / "a.h5", "thunder.training", Provenance(seed=0, command=odd), force=False):
        pass
    with read_artifact(tmp_path / "a.h5") as file:
        assert file.attrs["command"] == "thunder sample \\udcff.wav"


def test_no_names_are_a_list_too(tmp_path: Path) -> None:
    with write_artifact(tmp_path / "a.h5", "thunder.training", PROVENANCE, force=False) as file:
        write_names(file, "none", (), "D")
    with read_artifact(tmp_path / "a.h5") as file:
        assert read_names(file, "none") == ()


def test_missing_folders_are_made(tmp_path: Path) -> None:
    assert write(tmp_path / "new" / "deep" / "a.h5").is_file()


# Writing whole or not at all


@pytest.mark.parametrize("error", [ValueError("no"), ThunderError("no"), KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("old", [False, True])
def test_an_error_leaves_the_old_file_or_none(tmp_path: Path, error: BaseException, old: bool) -> None:
    path = tmp_path / "a.h5"
    before = write(path).read_bytes() if old else b""

    def fail() -> None:
        with write_artifact(path, "thunder.training", PROVENANCE, force=True) as file:
            write_array(file, "numbers", np.zeros(100_000), "n")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert names_in(tmp_path) == (["a.h5"] if old else [])
    assert not old or path.read_bytes() == before


def test_the_file_has_no_name_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with write_artifact(path, "thunder.training", PROVENANCE, force=False):
        assert not path.exists()
        assert len(names_in(tmp_path)) == 1
    assert names_in(tmp_path) == ["a.h5"]


WRITE_SLOWLY = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from stages.artifacts.files import write_array, write_artifact
    from stages.runtime.provenance import Provenance
    with write_artifact(Path(sys.argv[1]), "thunder.training", Provenance(seed=0), force=True) as file:
        write_array(file, "numbers", np.zeros(100_000), "n")
        print("writing", flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("old", [False, True])
def test_a_killed_process_leaves_the_old_file_or_none(tmp_path: Path, old: bool) -> None:
    path = tmp_path / "a.h5"
    before = write(path).read_bytes() if old else b""
    with in_subprocess(WRITE_SLOWLY, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.kill()
    assert path.exists() == old
    assert not old or path.read_bytes() == before
    # The half-written file is hidden and never in the way of the next try.
    assert all(name == "a.h5" or name.startswith(".") for name in names_in(tmp_path))
    write(path, 2.0, force=True)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupted_process_leaves_nothing(tmp_path: Path) -> None:
    with in_subprocess(WRITE_SLOWLY, tmp_path / "a.h5") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGINT)
    assert names_in(tmp_path) == []


WRITE_UP_TO = """
    import resource, sys
    from pathlib import Path
    from stages.runtime.errors import ThunderError
    from tests.builders import small_dataset
    for size in map(int, sys.argv[2:]):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            small_dataset(Path(sys.argv[1]), splits=("train",) * 3, num_frames=200, vertices=True)
            print("written")
        except ThunderError as error:
            print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_file_that_cannot_grow_ends_in_one_line_and_keeps_the_old(tmp_path: Path) -> None:
    """HDF5 left alone crashes when the program ends, for it tries again to write what it could not."""
    path = small_dataset(tmp_path / "a.h5")
    before = path.read_bytes()
    alone = small_dataset(tmp_path / "alone.h5", splits=("train",) * 3, num_frames=200, vertices=True)
    size = alone.stat().st_size
    alone.unlink()
    limits = [0, 1, 100, 2048, 10_000, 60_000, size // 2, size - 1_000, size - 1]
    process = in_subprocess(WRITE_UP_TO, path, *limits)
    out, err = process.communicate()
    assert err == ""
    assert process.returncode == 0
    expected = (
        f"{path}: larger than files may be here; nothing was left behind, free some space or choose another --output"
    )
    assert out.splitlines() == [expected] * len(limits)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["a.h5"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes go to a device that is always full."""

    def open_full(self: object, path: Path) -> None:
        Path(path).touch()
        super(type(self), self).__init__("/dev/full", "r+")  # type: ignore[misc, call-arg]
        self.failure, self.abandoned = None, False  # type: ignore[attr-defined]

    monkeypatch.setattr("stages.artifacts.files.PartialFile.__init__", open_full)
    with pytest.raises(ThunderError) as error:
        write(tmp_path / "a.h5")
    assert "the disk is full; nothing was left behind" in one_line(error, tmp_path / "a.h5")
    assert names_in(tmp_path) == []


def test_limits_are_those_of_this_process() -> None:
    """The test above must not have limited its own process."""
    if sys.platform != "win32":
        assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


# Refused outputs


def test_an_output_that_exists_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    before = path.read_bytes()
    with pytest.raises(ThunderError) as error:
        write(path, 2.0)
    assert "exists already; give --force" in one_line(error, path)
    assert path.read_bytes() == before
    write(path, 2.0, force=True)
    assert path.read_bytes() != before


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_no_output(tmp_path: Path, force: bool) -> None:
    with pytest.raises(ThunderError) as error:
        check_output(tmp_path, force=force)
    assert "a folder, wanted a file name" in one_line(error, tmp_path)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no /dev/null")
def test_a_device_is_no_output() -> None:
    """Renaming over /dev/null would replace it."""
    with pytest.raises(ThunderError, match="a device or pipe"):
        check_output(Path("/dev/null"), force=True)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ThunderError) as error:
        check_output(tmp_path / "file" / "a.h5", force=False)
    assert "cannot make this folder" in one_line(error, tmp_path / "file")


def test_a_folder_without_permission_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ThunderError) as error:
        check_output(tmp_path / "a.h5", force=False)
    assert "no permission to write here" in one_line(error, tmp_path)


# Refused inputs


def refuse(path: Path, *schemas: str) -> str:
    with pytest.raises(ThunderError) as error, read_artifact(path, *schemas):
        pass
    return one_line(error, path)


def test_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    assert refuse(path) == f"{path}: no such file"
    assert refuse(path, "thunder.samples") == f"{path}: no such file; make it with `thunder sample`"
    assert refuse(path, "thunder.m2s", "thunder.samples").endswith("`thunder train-m2s` or `thunder sample`")


def test_folder(tmp_path: Path) -> None:
    assert "a folder, wanted an HDF5 file" in refuse(tmp_path, "thunder.samples")


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "a.h5").touch()
    assert "empty, wanted an HDF5 file; make it with" in refuse(tmp_path / "a.h5", "thunder.samples")


def test_not_hdf5(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"RIFF" + bytes(5000))
    assert "not a readable HDF5 file (wanted an artifact of this toolkit)" in refuse(tmp_path / "a.h5")


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.999])
def test_truncated(tmp_path: Path, keep: float) -> None:
    path = small_dataset(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert "cut short, copy or make it again" in refuse(path, "thunder.dataset")


@pytest.mark.parametrize("schema", [None, 7, "other.program", np.bytes_(b"thunder.dataset"), np.arange(3)])
def test_hdf5_of_another_program(tmp_path: Path, schema: object) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        if schema is not None:
            file.attrs["schema"] = schema
    message = refuse(path, "thunder.dataset")
    assert "wanted thunder.dataset, found" in message
    assert message.endswith("make it with `thunder preprocess`")
    assert "wanted a thunder artifact" in refuse(path)


def test_another_schema(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    expected = "wanted thunder.dataset or thunder.samples, found thunder.training"
    assert expected in refuse(path, "thunder.dataset", "thunder.samples")
    with read_artifact(path) as file:
        assert file.attrs["schema"] == "thunder.training"


def test_a_newer_version(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = SCHEMAS["thunder.training"][0] + 1
        file.attrs["toolkit_version"] = "9.9"
    message = refuse(path)
    assert "version 2 was written by a newer toolkit (9.9); this one reads up to 1: upgrade thunder" in message


@pytest.mark.parametrize("version", [None, "two", np.arange(3)])
def test_a_version_that_is_none(tmp_path: Path, version: object) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file.attrs["schema_version"]
        if version is not None:
            file.attrs["schema_version"] = version
    assert "incomplete or damaged" in refuse(path)


@pytest.mark.parametrize(
    ("name", "ndim", "expected"),
    [
        ("absent", None, "/group/absent is missing"),
        ("inner", None, "/group/inner is missing"),
        ("plain", 2, "wanted 2 axes, found shape (3,)"),
        ("nan", None, "holds NaN or infinity"),
        ("inf", None, "holds NaN or infinity"),
    ],
)
def test_arrays_that_are_refused(tmp_path: Path, name: str, ndim: int | None, expected: str) -> None:
    path = tmp_path / "a.h5"
    with write_artifact(path, "thunder.training", PROVENANCE, force=False) as file:
        group = file.create_group("group")
        group.create_group("inner")
        for key, value in (("plain", 1.0), ("nan", np.nan), ("inf", -np.inf)):
            write_array(group, key, np.array([0.0, value, 2.0]), "n")
    with read_artifact(path) as file:
        with pytest.raises(ThunderError) as error:
            read_array(file["group"], name, ndim=ndim)
        assert expected in one_line(error, path)
        assert len(read_array(file["group"], "nan", finite=False)) == 3


@pytest.mark.parametrize("text", [None, "{", "[1]", 5])
def test_attributes_that_hold_no_json_object(tmp_path: Path, text: object) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        if text is not None:
            file.attrs["model"] = text
    with read_artifact(path) as file, pytest.raises(ThunderError) as error:
        read_json_attribute(file, "model")
    assert "attribute model" in one_line(error, path)
