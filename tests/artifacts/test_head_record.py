"""Heads on disk."""

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stages.artifacts.files import write_artifact
from stages.artifacts.head_record import LANDMARKS, HeadRecord, write_head
from stages.heads.head import read_head_file
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.builders import small_head

HEAD = small_head()


def write(path: Path, head: HeadRecord = HEAD) -> Path:
    with write_artifact(path, "thunder.head", Provenance(seed=0), force=True) as file:
        write_head(file, head)
    return path


def test_a_head_comes_back(tmp_path: Path) -> None:
    head = dataclasses.replace(HEAD, name="Käthe", units="unitless")
    found = read_head_file(write(tmp_path / "a.h5", head))
    for name in ("kind", "name", "units", "features", "landmarks", "fingerprint", "motion_fingerprint"):
        assert getattr(found, name) == getattr(head, name)
    for name in ("template", "faces"):
        np.testing.assert_array_equal(getattr(found, name), getattr(head, name))
    for wanted, read in ((head.regions, found.regions), (head.arrays, found.arrays)):
        assert set(read) == set(wanted)
        for name in wanted:
            np.testing.assert_array_equal(read[name], wanted[name])


def test_the_layout_of_a_head(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5"), "r") as file:
        group = file["head"]
        assert set(group.attrs) == {"kind", "name", "units", "fingerprint", "motion_fingerprint"}
        assert set(group["landmarks"].attrs) == set(LANDMARKS)
        found = {k: (v.attrs["axes"], v.attrs.get("units")) for k, v in group.items() if isinstance(v, h5py.Dataset)}
        assert found == {
            "template": ("V,3", "m"),
            "faces": ("F,3", None),
            "features": ("D", None),
            "basis": ("K,V,3", "m"),
            "pivot": ("3", "m"),
            "rotation_weights": ("V", None),
        }
        assert {str(v.dtype) for v in group["regions"].values()} == {"int32"}


def test_fingerprints_tell_topology_from_motion() -> None:
    renamed = dataclasses.replace(HEAD, features=HEAD.features[::-1])
    assert renamed.fingerprint == HEAD.fingerprint
    assert renamed.motion_fingerprint != HEAD.motion_fingerprint
    turned = dataclasses.replace(HEAD, faces=HEAD.faces[:, ::-1])
    assert turned.fingerprint != HEAD.fingerprint
    moved = dataclasses.replace(HEAD, template=HEAD.template + 1)
    assert (moved.fingerprint, moved.motion_fingerprint) == (HEAD.fingerprint, HEAD.motion_fingerprint)
    # The components of a PCA mean what their basis says, whatever they are called.
    pca = dataclasses.replace(HEAD, kind="displacement")
    other = dataclasses.replace(pca, arrays=pca.arrays | {"basis": pca.arrays["basis"] * 2})
    assert pca.motion_fingerprint != other.motion_fingerprint
    assert HEAD.without("pivot").arrays.keys() == {"basis", "rotation_weights"}


def replaced(file: h5py.File, name: str, values: Any) -> None:
    del file[f"head/{name}"]
    file[f"head/{name}"] = values


def changed(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array.flat[4] = value
    return array


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda f: f.__delitem__("head"), "/head is missing"),
        (lambda f: f.__delitem__("head/template"), "/head/template is missing"),
        (lambda f: f.__delitem__("head/features"), "/head/features is missing"),
        (lambda f: f["head"].attrs.__delitem__("kind"), "/head: incomplete or damaged"),
        (lambda f: f["head"].attrs.__setitem__("fingerprint", "0"), "fingerprint 0 does not match its faces"),
        (lambda f: replaced(f, "faces", HEAD.faces[:, ::-1]), "does not match its faces"),
        (lambda f: replaced(f, "faces", changed(HEAD.faces, 64)), "faces points at vertex 64, but the template has 64"),
        (lambda f: replaced(f, "faces", changed(HEAD.faces, -1)), "faces points at vertex -1"),
        (lambda f: replaced(f, "faces", HEAD.faces.astype("f4")), "wanted vertex indices, found float32"),
        (lambda f: replaced(f, "faces", HEAD.faces[:, :2]), "wanted template (V, 3) and faces (F, 3)"),
        (lambda f: replaced(f, "template", HEAD.template[:, :2]), "wanted template (V, 3) and faces (F, 3)"),
        (lambda f: replaced(f, "template", changed(HEAD.template, np.nan)), "/head/template holds NaN"),
        (lambda f: replaced(f, "regions/lips", np.array([3, 99])), "lips points at vertex 99"),
        (lambda f: replaced(f, "regions/lips", np.array([3.0])), "regions/lips: wanted vertex indices"),
        (lambda f: f["head/landmarks"].attrs.__setitem__("chin", 64), "landmarks points at vertex 64"),
        (lambda f: f["head/landmarks"].attrs.__delitem__("chin"), "/head has no landmark chin"),
        (lambda f: f.__delitem__("head/landmarks"), "/head has no landmark lip_top, "),
        (
            lambda f: replaced(f, "basis", np.zeros((52, 63, 3))),
            "/head/basis wanted shape (K, 64, 3), found (52, 63, 3)",
        ),
        (lambda f: replaced(f, "pivot", np.zeros(4)), "/head/pivot wanted shape (3), found (4,)"),
    ],
)
def test_damaged_heads_are_refused(tmp_path: Path, damage: Any, expected: str) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(ThunderError) as error:
        read_head_file(path)
    assert expected in str(error.value)
    assert str(path) in str(error.value)
