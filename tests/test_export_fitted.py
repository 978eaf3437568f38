"""`thunder export --blendshapes`: curves fitted to faces that have none of their own, and sets that do not fit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from stages.artifacts.clips import write_clips
from stages.artifacts.head_record import HeadRecord
from stages.formats.live_link_face import read_live_link_face
from stages.formats.polygon_file import write_ply
from stages.formats.wavefront import write_obj
from stages.heads.arkit import ARKIT_FEATURES
from stages.runtime.provenance import Provenance
from tests import shell
from tests.builders import small_clip, small_head
from tests.heads.test_flame import flame_head
from thunder_cli.app import app


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `thunder export`, line breaks of the terminal taken out."""
    return shell.run("export", *arguments)


def _shape_folder(folder: Path, shapes: dict[str, np.ndarray], head: HeadRecord, suffix: str = ".obj") -> Path:
    folder.mkdir()
    write = write_obj if suffix == ".obj" else write_ply
    write(folder / f"neutral{suffix}", head.template, head.faces)
    for name, shape in shapes.items():
        write(folder / f"{name}{suffix}", head.template + shape, head.faces)
    return folder


@pytest.fixture
def mesh_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, HeadRecord, np.ndarray]:
    """samples.h5 of a head whose features are mixtures of curves: the head, and the curves (T, 3) of its take."""
    monkeypatch.chdir(tmp_path)
    record = small_head()
    shapes = record.arrays["basis"][:3]
    mixing = np.array([[1, 0.5, 0], [0, 1, 0.5], [0.5, 0, 1]], "f4")
    basis = np.einsum("ij,jvc->ivc", mixing, shapes)
    head = replace(record, kind="displacement", features=("pc000", "pc001", "pc002"), arrays={"basis": basis})
    curves = np.random.default_rng(0).uniform(0, 1, (20, 3)).astype("f4")
    motion = (curves @ np.linalg.inv(mixing)).astype("f4")
    provenance = Provenance(seed=0, command="test")
    with write_clips(Path("samples.h5"), "thunder.samples", head, provenance, force=True) as writer:
        clip = small_clip("a", head=record, num_frames=20)
        writer.add(replace(clip, motion=motion[None], seed=np.arange(1), vertices=None))
    _shape_folder(tmp_path / "set", dict(zip(ARKIT_FEATURES, shapes, strict=False)), head)
    return tmp_path, head, curves


def test_a_mesh_head_becomes_arkit_curves_by_a_fit(mesh_folder: tuple[Path, HeadRecord, np.ndarray]) -> None:
    _, _, curves = mesh_folder
    code, out, _ = run("--format", "arkit", "--blendshapes", "set", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["units"] == "m"
    assert told["residual_rms"]["export/a.0.csv"] < 1e-6
    back, _ = read_live_link_face(Path("export/a.0.csv"))
    np.testing.assert_allclose(back[:, :3], curves, atol=1e-4)
    assert not back[:, 3:].any()


def test_what_a_set_cannot_reach_is_shown_in_millimetres(mesh_folder: tuple[Path, HeadRecord, np.ndarray]) -> None:
    folder, head, curves = mesh_folder
    shapes = small_head().arrays["basis"][:3]
    _shape_folder(folder / "one", {ARKIT_FEATURES[0]: shapes[0]}, head, ".ply")
    code, out, _ = run("--format", "arkit", "--blendshapes", "one")
    assert code == 0
    wanted = np.einsum("tk,kvc->tvc", curves, shapes)
    best = ((wanted * shapes[0]).sum((1, 2)) / (shapes[0] ** 2).sum()).clip(0, 1)
    left = np.sqrt(((wanted - best[:, None, None] * shapes[0]) ** 2).sum(-1).mean())
    assert f"a.0.csv fitted; {1000 * left:.3g} mm rms remain" in " ".join(out.split())


def test_a_flame_head_is_fitted_without_its_head_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    head = flame_head()
    motion = np.zeros((5, len(head.features)), "f4")
    motion[:, 0] = np.linspace(0, 1, 5)
    angles = np.array([0.3, -0.2, 0.1])
    turn = Rotation.from_euler("YXZ", angles)
    motion[:, -3:] = turn.as_rotvec()
    with write_clips(
        Path("samples.h5"), "thunder.samples", head, Provenance(seed=0, command="test"), force=True
    ) as writer:
        clip = small_clip("a", num_frames=5)
        writer.add(replace(clip, motion=motion[None], seed=np.arange(1), vertices=None))
    _shape_folder(tmp_path / "set", {"jawOpen": head.arrays["basis"][0]}, head)
    assert run("--format", "arkit", "--blendshapes", "set")[0] == 0
    back, _ = read_live_link_face(Path("export/a.0.csv"))
    np.testing.assert_allclose(back[:, ARKIT_FEATURES.index("jawOpen")], motion[:, 0], atol=1e-4)
    np.testing.assert_allclose(back[:, -3:], np.tile(angles, (5, 1)), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "arkit"], "give shapes on its topology with --blendshapes"),
        (["--format", "npy", "--blendshapes", "set"], "--format npy has none"),
        (["--format", "arkit", "--blendshapes", "none"], "none: no such file or folder"),
        (
            ["--format", "arkit", "--blendshapes", "other"],
            "not the topology of head small test head: 3 vertices, wanted 64",
        ),
        (["--format", "arkit", "--blendshapes", "turned"], "other triangles between as many vertices"),
        (["--format", "arkit", "--blendshapes", "large"], "export it in the head's unit (m)"),
        (["--format", "arkit", "--blendshapes", "named"], "jawOpn.obj: no curve of ARKit; did you mean jawOpen?"),
        (["--format", "arkit", "--blendshapes", "bare"], "bare: no neutral.obj or neutral.ply"),
        (["--format", "arkit", "--blendshapes", "still"], "all its meshes are the neutral one"),
    ],
)
def test_sets_that_do_not_fit_are_refused_in_one_line(
    mesh_folder: tuple[Path, HeadRecord, np.ndarray], arguments: list[str], message: str
) -> None:
    folder, head, _ = mesh_folder
    shape = small_head().arrays["basis"][:1]
    triangle = replace(head, template=head.template[:3], faces=np.array([[0, 1, 2]], "i4"))
    _shape_folder(folder / "other", {}, triangle)
    _shape_folder(folder / "turned", {}, replace(head, faces=head.faces[:, ::-1]))
    _shape_folder(folder / "large", {}, replace(head, template=1000 * head.template))
    _shape_folder(folder / "named", {"jawOpn": shape[0]}, head)
    _shape_folder(folder / "still", {"jawOpen": 0 * shape[0]}, head)
    (folder / "bare").mkdir()
    result = CliRunner().invoke(app, ["export", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not (folder / "export").exists()
