import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from stages.corpora.numpy_files import npy_shape, read_npy, read_npz
from stages.corpora.unpickler import load_pickle
from stages.runtime.errors import ThunderError
from tests.corpora.written_flame import object_array_of

DENSE = np.array([[0.0, 2.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.5, 0.0]])


@pytest.mark.parametrize("form", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_sparse_matrices_come_back_dense(tmp_path: Path, form: str, protocol: int) -> None:
    sparse = getattr(scipy.sparse, form)(DENSE)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": sparse, "again": [sparse]}, protocol))
    found = load_pickle(tmp_path / "a.pkl")
    assert type(found["a"]) is np.ndarray
    np.testing.assert_array_equal(found["a"], DENSE)
    assert found["again"][0] is found["a"]


def test_coordinates_of_older_scipy_and_entries_that_stand_twice(tmp_path: Path) -> None:
    sparse = scipy.sparse.coo_matrix(([1.0, 2.0, 4.0], ([0, 0, 2], [1, 1, 0])), shape=(3, 2))
    sparse.__dict__.update(row=sparse.coords[0], col=sparse.coords[1])
    del sparse.__dict__["coords"]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(sparse))
    np.testing.assert_array_equal(load_pickle(tmp_path / "a.pkl"), [[0, 3], [0, 0], [4, 0]])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"_shape": (10**6, 10**6)}, "1000000 by 1000000"),
        ({"_shape": (-3, 4)}, "-3 by 4"),
        ({"_shape": (2, 4)}, "entries outside its shape"),
        ({"_shape": (3, 5)}, "lines do not add up"),
        ({"indptr": np.array([0, 3, 1, 2, 4])}, "lines do not add up"),
        ({"indices": np.array([2, -1, 2, 0])}, "entries outside its shape"),
        ({"data": np.ones(3)}, "not equally long"),
    ],
)
def test_sparse_matrices_that_lie_are_refused(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    sparse = scipy.sparse.csc_matrix(DENSE)
    sparse.__dict__.update(changes)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(sparse))
    with pytest.raises(ThunderError, match=expected):
        load_pickle(tmp_path / "a.pkl")


def test_a_list_named_again_and_again_is_read_once(tmp_path: Path) -> None:
    content: Any = [scipy.sparse.csc_matrix(DENSE)]
    for _ in range(60):  # 2 ** 60 matrices to whoever walks through them one by one
        content = [content, content]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    assert len(load_pickle(tmp_path / "a.pkl")) == 2


def test_other_classes_of_these_packages_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(scipy.sparse.lil_matrix(DENSE)))
    with pytest.raises(ThunderError, match="lil_matrix"):
        load_pickle(tmp_path / "a.pkl")
    made = b"ccopy_reg\n_reconstructor\n(c%b\nc__builtin__\nobject\nNtR."
    for call in (b"cchumpy.ch\nChLambda\n.", made % b"os\nsystem", made % b"collections\nOrderedDict"):
        (tmp_path / "a.pkl").write_bytes(call)
        with pytest.raises(ThunderError, match="asks for"):
            load_pickle(tmp_path / "a.pkl")


ARRAYS = {
    "plain": np.arange(12.0).reshape(4, 3),
    "fortran": np.asfortranarray(np.arange(12, dtype=">i2").reshape(4, 3)),
    "empty": np.zeros((0, 3), "f4"),
    "number": np.array(25),
    "text": np.array("ann"),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_come_back(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "a.npz", **ARRAYS, sparse=scipy.sparse.csr_matrix(DENSE), list=np.array([1, "b"], dtype=object))
    found = read_npz(tmp_path / "a.npz")
    for name, wanted in ARRAYS.items():
        assert found[name].dtype == wanted.dtype
        np.testing.assert_array_equal(found[name], wanted)
    np.testing.assert_array_equal(found["sparse"], DENSE)
    assert found["list"].tolist() == [1, "b"]


def test_single_arrays_and_dictionaries_come_back(tmp_path: Path) -> None:
    for wanted in ARRAYS.values():
        np.save(tmp_path / "a.npy", wanted)
        np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), wanted)
        assert npy_shape(tmp_path / "a.npy") == wanted.shape
    with pytest.raises(ThunderError, match="wanted a dictionary of arrays, found an array"):
        read_npz(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array({"exp": DENSE}, dtype=object))
    np.testing.assert_array_equal(read_npz(tmp_path / "b.npy")["exp"], DENSE)


def test_an_array_that_promises_more_than_it_holds_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    for shape in ((10**15,), (2**40, 2**40), (13,)):
        with (tmp_path / "a.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
            file.write(b"\0" * 96)
        with pytest.raises(ThunderError, match="96 bytes for an array"):
            read_npy(tmp_path / "a.npy")
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.write(tmp_path / "a.npy", "exp.npy")
        with pytest.raises(ThunderError, match="96 bytes for an array"):
            read_npz(tmp_path / "a.npz")


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.corpora.numpy_files._MAX_BYTES", 1 << 16)
    np.savez_compressed(tmp_path / "a.npz", exp=np.zeros(1 << 17))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 14
    with pytest.raises(ThunderError, match="an array of"):
        read_npz(tmp_path / "a.npz")


def test_damage_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **ARRAYS)
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    for damaged in (b"", b"abc", whole[: len(whole) // 2], whole.replace(b"\x00\x00\x08@", b"\x00\x00\x09@")):
        (tmp_path / "a.npz").write_bytes(damaged)
        with pytest.raises(ThunderError, match=r"not a \.npz file, or cut short"):
            read_npz(tmp_path / "a.npz")
    for damaged in (b"", b"abc", b"\x93NUMPY\x03\x00", b"\x93NUMPY\x01\x00\x76\x00{'descr': "):
        (tmp_path / "a.npy").write_bytes(damaged)
        with pytest.raises(ThunderError, match=r"not a \.npy array, or cut short"):
            read_npy(tmp_path / "a.npy")
        assert npy_shape(tmp_path / "a.npy") is None
    (tmp_path / "a.npy").write_bytes(object_array_of(b"abc"))
    with pytest.raises(ThunderError, match="not a pickle"):
        read_npy(tmp_path / "a.npy")
    for read in (read_npy, read_npz):
        with pytest.raises(ThunderError, match="no such file"):
            read(tmp_path / "c.npz")
        with pytest.raises(ThunderError, match="a folder"):
            read(tmp_path)
