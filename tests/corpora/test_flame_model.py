import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.artifacts.files import write_artifact
from stages.artifacts.head_record import write_head
from stages.corpora.flame_model import read_flame_model
from stages.heads.head import build_head, read_head_file
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.corpora.written import dump, face_mesh
from tests.corpora.written_flame import FORMS, flame_content, object_array_of, write_flame
from tests.heads.test_flame import PARENTS


class RunsCode:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_file_holds_the_same_head(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"flame.{form.split('.')[1]}"
    content = write_flame(path, form)
    if form == "2016.pkl":
        assert all(name in path.read_bytes() for name in (b"chumpy.ch\nCh", b"scipy.sparse.csc\ncsc_matrix"))
    model = read_flame_model(path)
    np.testing.assert_array_equal(model.template, content["v_template"].astype("f4"))
    np.testing.assert_array_equal(model.faces, content["f"])
    np.testing.assert_array_equal(model.identities, np.moveaxis(content["shapedirs"], 2, 0)[:300].astype("f4"))
    np.testing.assert_array_equal(model.expressions, np.moveaxis(content["shapedirs"], 2, 0)[300:].astype("f4"))
    np.testing.assert_array_equal(model.pose_basis, np.moveaxis(content["posedirs"], 2, 0).astype("f4"))
    np.testing.assert_array_equal(model.joint_regressor, content["J_regressor"].astype("f4"))
    np.testing.assert_array_equal(model.skinning_weights, content["weights"].astype("f4"))
    assert model.parents.tolist() == PARENTS


def test_shape_coefficients_make_a_face(tmp_path: Path) -> None:
    content = write_flame(tmp_path / "flame.pkl")
    shape = np.array([1.0, -2.0, 0.5], "f4")
    wanted = content["v_template"] + sum(b * content["shapedirs"][:, :, k] for k, b in enumerate(shape))
    np.testing.assert_allclose(read_flame_model(tmp_path / "flame.pkl").face_of(shape), wanted, atol=1e-7)


def test_a_flame_head_survives_an_artifact(tmp_path: Path) -> None:
    write_flame(tmp_path / "flame.pkl")
    record = read_flame_model(tmp_path / "flame.pkl").head(face_mesh()[2].astype("i4"), 50, ("jaw", "neck", "head"))
    assert record.features[:2] == ("exp000", "exp001")
    assert record.features[50:] == ("jawX", "jawY", "jawZ", "neckX", "neckY", "neckZ", "headX", "headY", "headZ")
    with write_artifact(tmp_path / "a.h5", "thunder.head", Provenance(seed=0), force=False) as file:
        write_head(file, record)
    found = read_head_file(tmp_path / "a.h5")
    assert (found.kind, found.motion_fingerprint) == ("flame", record.motion_fingerprint)
    motion = torch.randn(3, 59) * 0.1
    torch.testing.assert_close(build_head(found).vertices(motion), build_head(record).vertices(motion), rtol=0, atol=0)
    for name, wanted in (("skinning_weights", r"\(320, 5\)"), ("pose_basis", r"\(36, 320, 3\)")):
        damaged = replace(record, arrays=record.arrays | {name: record.arrays[name][:, :4]})
        with write_artifact(tmp_path / "b.h5", "thunder.head", Provenance(seed=0), force=True) as file:
            write_head(file, damaged)
        with pytest.raises(ThunderError, match=f"/head/{name} wanted shape {wanted}"):
            read_head_file(tmp_path / "b.h5")


# What is refused


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"posedirs": None, "weights": None}, "not a FLAME file, posedirs, weights missing"),
        ({"posedirs": np.zeros((5, 3, 36))}, r"posedirs wanted \(320, 3, 36\), found \(5, 3, 36\)"),
        ({"weights": np.full((320, 55), 1 / 55)}, r"weights wanted \(320, 5\), found \(320, 55\); FLAME has 5 joints"),
        ({"weights": np.ones((320, 5))}, "rows of weights wanted to add up to 1, found 5 to 5"),
        ({"shapedirs": np.zeros((320, 3, 150))}, "150 shapes, wanted 300 of identity and then expressions"),
        ({"shapedirs": np.full((320, 3, 400), np.nan)}, "NaN or infinity in shapedirs"),
        ({"f": np.array([[0, 1, 320]], np.uint32)}, "f wanted triangles of 320 vertices, found 0 to 320"),
        (
            {"kintree_table": np.array([[0, 3, 1, 1, 1], [0, 1, 2, 3, 4]])},
            "kintree_table wanted parents before children",
        ),
        ({"v_template": flame_content()["v_template"] * 1000}, "a head 200 m high, wanted about 0.3"),
        ({"v_template": np.array("face")}, "v_template wanted numbers"),
        ({"v_template": np.float64(3)}, r"v_template wanted \(1, 3\), found \(\)"),
    ],
)
def test_files_that_are_not_flame_are_named(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    write_flame(tmp_path / "flame.npz", "dense.npz", **changes)
    with pytest.raises(ThunderError, match=expected):
        read_flame_model(tmp_path / "flame.npz")


def test_a_missing_file_says_where_it_comes_from(tmp_path: Path) -> None:
    for path in (tmp_path / "flame.pkl", tmp_path):
        with pytest.raises(ThunderError, match=r"flame\.is\.tue\.mpg\.de.*give --flame FILE"):
            read_flame_model(path)
    dump(tmp_path / "list.pkl", [1, 2])
    with pytest.raises(ThunderError, match="not a FLAME file"):
        read_flame_model(tmp_path / "list.pkl")


@pytest.mark.parametrize("suffix", ["pkl", "npy", "npz"])
def test_a_file_that_runs_code_is_refused_and_runs_none(tmp_path: Path, suffix: str) -> None:
    trace, path = tmp_path / "created", tmp_path / f"flame.{suffix}"
    attack = flame_content() | {"J_regressor": RunsCode(trace)}
    if suffix == "pkl":
        path.write_bytes(pickle.dumps(attack))
    elif suffix == "npy":
        path.write_bytes(object_array_of(pickle.dumps(attack)))
    else:
        np.savez(path, **attack)
    with pytest.raises(ThunderError, match=r"asks for (posix|nt)\.system.*nothing was run"):
        read_flame_model(path)
    assert not trace.exists()
    if suffix == "npz":  # the attack is a real one
        _ = np.load(path, allow_pickle=True)["J_regressor"]
        assert trace.exists()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    for form in ("2023.npz", "2016.pkl"):
        path = tmp_path / f"flame.{form.split('.')[1]}"
        write_flame(path, form)
        whole = path.read_bytes()
        for damaged in (whole[: len(whole) // 2], b"", b"abc"):
            path.write_bytes(damaged)
            with pytest.raises(ThunderError, match=r"not a \.npz file, or cut short|not a pickle that can be read"):
                read_flame_model(path)
