import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.corpora.unpickler import load_pickle
from stages.runtime.errors import ThunderError
from tests.corpora.written import dump

CONTENT: dict[str, Any] = {
    "template": np.arange(12.0).reshape(4, 3),
    "fortran": np.asfortranarray(np.arange(12, dtype="f4").reshape(4, 3)),
    "big_endian": np.arange(5, dtype=">i4"),
    "empty": np.zeros((0, 3)),
    "zero_d": np.array(4),
    "flags": np.array([True, False]),
    "names": np.array(["ann", "b"]),
    "objects": np.array([1, "two", None, [3, 4]], dtype=object),
    "scalar": np.float32(3.5),
    "containers": (1, [2.5, None], {"k": {3}}, OrderedDict(a=1), b"bytes", frozenset({1})),
}


class RunsCode:
    """Unpickled by pickle itself, this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


class Custom:
    pass


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_containers_come_back(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(CONTENT, protocol))
    found = load_pickle(tmp_path / "a.pkl")
    assert found.keys() == CONTENT.keys()
    for key, wanted in CONTENT.items():
        if isinstance(wanted, np.ndarray):
            assert found[key].dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
            np.testing.assert_array_equal(found[key], wanted)
        else:
            assert found[key] == wanted
            assert type(found[key]) is type(wanted)


def test_python_2_pickles_under_the_names_of_numpy_1(tmp_path: Path) -> None:
    dump(tmp_path / "a.pkl", {"face": np.ones((5, 3))})
    assert b"numpy.core.multiarray" in (tmp_path / "a.pkl").read_bytes()
    np.testing.assert_array_equal(load_pickle(tmp_path / "a.pkl")["face"], np.ones((5, 3)))
    # {'a': numpy.float64 array [1.5]} exactly as Python 2.7 with numpy 1.11 wrote it: data as a byte string.
    python_2 = (
        b"\x80\x02}q\x00U\x01aq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04"
        b"(K\x01K\x01\x85cnumpy\ndtype\nq\x05U\x02f8K\x00K\x01\x87Rq\x06(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
        b"tb\x89U\x08\x00\x00\x00\x00\x00\x00\xf8?tbs."
    )
    (tmp_path / "b.pkl").write_bytes(python_2)
    np.testing.assert_array_equal(load_pickle(tmp_path / "b.pkl")["a"], [1.5])


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"a": [x]}, lambda x: np.array([x], dtype=object)])
def test_a_pickle_that_runs_code_is_refused_and_runs_none(tmp_path: Path, protocol: int, wrap: Any) -> None:
    trace = tmp_path / "created"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(wrap(RunsCode(trace)), protocol))
    with pytest.raises(ThunderError, match=r"a\.pkl: the pickle asks for (posix|nt)\.system.*nothing was run"):
        load_pickle(tmp_path / "a.pkl")
    assert not trace.exists()
    pickle.loads((tmp_path / "a.pkl").read_bytes())  # the attack is a real one
    assert trace.exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (Custom(), "Custom"),
        (np.array([Custom()], dtype=object), "Custom"),
        (np.zeros(2, [("x", "f4")]), "array of V4"),
        (np.ma.masked_array([1.0]), "_mareconstruct"),
        (np.random.RandomState(0), "randomstate"),
        (Path("x"), "Path"),
        (print, "print"),
    ],
)
def test_everything_else_is_refused_by_name(tmp_path: Path, content: Any, named: str) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ThunderError, match=named):
        load_pickle(tmp_path / "a.pkl")


def test_builtins_that_look_harmless_are_refused(tmp_path: Path) -> None:
    for call in (b"cbuiltins\neval\n(Vopen\ntR.", b"c__builtin__\ngetattr\n.", b"cnumpy\nload\n.", b"cos\nsystem\n."):
        (tmp_path / "a.pkl").write_bytes(call)
        with pytest.raises(ThunderError, match="asks for"):
            load_pickle(tmp_path / "a.pkl")


def test_an_array_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    honest = pickle.dumps(np.arange(3.0), protocol=2)
    lie = honest.replace(b"K\x03\x85", b"K\x7f\x85")
    assert lie != honest
    (tmp_path / "a.pkl").write_bytes(lie)
    with pytest.raises(ThunderError, match="24 bytes for an array"):
        load_pickle(tmp_path / "a.pkl")


def test_damaged_missing_and_folder(tmp_path: Path) -> None:
    whole = pickle.dumps(CONTENT)
    for damaged in (b"", b"abc", whole[: len(whole) // 2]):
        (tmp_path / "a.pkl").write_bytes(damaged)
        with pytest.raises(ThunderError, match="not a pickle that can be read"):
            load_pickle(tmp_path / "a.pkl")
    with pytest.raises(ThunderError, match="no such file"):
        load_pickle(tmp_path / "b.pkl")
    with pytest.raises(ThunderError, match="a folder"):
        load_pickle(tmp_path)
