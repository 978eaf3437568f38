import json
from pathlib import Path

import numpy as np
import pytest

from stages.artifacts.clips import open_clips
from stages.corpora.layout import open_corpus
from stages.corpora.surface import read_mesh
from stages.preprocess import preprocess
from stages.runtime.errors import ThunderError
from tests.builders import small_waveform
from tests.corpora.written import face_mesh, write_meshes, write_ply


@pytest.mark.parametrize("flat", [False, True])
def test_every_frame_comes_back(tmp_path: Path, flat: bool) -> None:
    written = write_meshes(tmp_path, flat=flat)
    corpus = open_corpus(tmp_path)
    assert (corpus.layout, corpus.head.units, list(corpus.problems)) == ("meshes", "m", [])
    assert [r.id for r in corpus.recordings] == sorted(written)
    for recording in corpus.recordings:
        assert recording.frames is not None
        np.testing.assert_array_equal(recording.frames[:], written[recording.id])
        assert recording.read().fps == 30.0
    template, faces, lips = face_mesh()
    np.testing.assert_allclose(corpus.templates["ann"], template, atol=1e-8)
    np.testing.assert_array_equal(corpus.head.faces, faces)
    np.testing.assert_array_equal(corpus.head.regions["lips"], lips)


def test_a_dataset_of_meshes_keeps_them_exactly(tmp_path: Path) -> None:
    written = write_meshes(tmp_path / "c")
    summary = preprocess(tmp_path / "c", tmp_path / "d.h5")
    assert summary.num_clips == 4
    assert summary.explained_variance == pytest.approx(1.0, abs=1e-4)
    with open_clips(tmp_path / "d.h5") as dataset:
        for clip_id, vertices in written.items():
            np.testing.assert_array_equal(dataset.read(clip_id, vertices=True).vertices, vertices)
            np.testing.assert_allclose(dataset.template(dataset.read(clip_id).subject), face_mesh()[0], atol=1e-8)


def test_millimetres_by_a_factor(tmp_path: Path) -> None:
    write_meshes(tmp_path, scale=1000.0)
    with pytest.raises(ThunderError, match=r"mouth is 60 m wide.*millimetres: give --scale 0\.001"):
        open_corpus(tmp_path)
    corpus = open_corpus(tmp_path, scale=0.001)
    np.testing.assert_allclose(corpus.head.template, face_mesh()[0], atol=1e-6)
    assert corpus.recordings[0].frames is not None
    np.testing.assert_allclose(np.ptp(corpus.recordings[0].frames[:1][0, :, 0]), 0.14, atol=0.005)


def test_a_face_of_one_s_own(tmp_path: Path) -> None:
    write_meshes(tmp_path)
    template, faces, _ = face_mesh()
    write_ply(tmp_path / "ann" / "template.ply", 1.1 * template, faces)
    corpus = open_corpus(tmp_path)
    np.testing.assert_allclose(corpus.templates["ann"], 1.1 * template, atol=1e-7)
    np.testing.assert_allclose(corpus.templates["bob"], template, atol=1e-7)
    write_ply(tmp_path / "ann" / "template.ply", template, faces[::-1])
    with pytest.raises(ThunderError, match="faces join other vertices"):
        open_corpus(tmp_path)


def test_an_obj_of_quads_keeps_its_order(tmp_path: Path) -> None:
    write_meshes(tmp_path)
    template, faces, _ = face_mesh()
    (tmp_path / "template.ply").unlink()
    lines = [f"v {x:.8g} {y:.8g} {z:.8g}" for x, y, z in template]
    lines += [f"vt {k / len(template)} 0.5" for k in range(len(template))]  # texture seams must not split vertices
    quads = faces[: len(faces)]
    lines += [f"f {a + 1}/{b + 1} {b + 1}/{c + 1} {c + 1}/{a + 1}" for a, b, c in quads]
    (tmp_path / "template.obj").write_text("\n".join(lines) + "\n")
    corpus = open_corpus(tmp_path)
    np.testing.assert_array_equal(corpus.head.faces, faces)
    np.testing.assert_allclose(corpus.head.template, template, atol=1e-7)


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    write_meshes(tmp_path)
    (tmp_path / "corpus.json").unlink()
    (tmp_path / "ann" / "a.json").write_text(json.dumps({"fps": 30, "emotion": "happy"}))
    corpus = open_corpus(tmp_path)
    assert [r.id for r in corpus.recordings] == ["ann_a"]
    assert corpus.recordings[0].read().emotion == "happy"
    assert "frame rate is not known; give --fps" in corpus.problems[0].reason
    assert len(open_corpus(tmp_path, fps=30.0).recordings) == 4
    (tmp_path / "ann" / "b.wav").unlink()
    assert "b.npy has no b.wav" in open_corpus(tmp_path, fps=30.0).problems[0].reason
    (tmp_path / "lips.txt").unlink()
    with pytest.raises(ThunderError, match=r"lips\.txt: missing.*select the lips in a mesh editor.*--lips FILE"):
        open_corpus(tmp_path, fps=30.0)
    (tmp_path / "template.ply").unlink()
    with pytest.raises(ThunderError, match=r"template\.ply: missing"):
        open_corpus(tmp_path, "meshes", fps=30.0)


def test_sounds_are_those_written(tmp_path: Path) -> None:
    write_meshes(tmp_path)
    waveform = open_corpus(tmp_path).recordings[0].read().waveform
    assert len(waveform) == round(36 / 30 * 16_000)
    assert np.abs(waveform).max() == pytest.approx(np.abs(small_waveform(57_600, 0)).max() / 32768, rel=0.2)


PLY = """ply
format ascii 1.0
element vertex 6
property float x
property float y
property float z
{vertex_extras}element face 2
property list uchar int vertex_indices
{face_extras}end_header
"""


def test_a_ply_with_textures_keeps_every_vertex(tmp_path: Path) -> None:
    rows = [f"{k} {k % 2} 0" for k in range(6)]  # the last two in no face
    of_vertices = PLY.format(vertex_extras="property float s\nproperty float t\n", face_extras="")
    of_corners = PLY.format(vertex_extras="", face_extras="property list uchar float texcoord\n")
    (tmp_path / "a.ply").write_text(of_vertices + "".join(f"{row} 0.1 0.2\n" for row in rows) + "3 0 1 3\n3 1 2 3\n")
    (tmp_path / "b.ply").write_text(
        of_corners + "".join(f"{row}\n" for row in rows) + "3 0 1 3 6 0 0 1 0 1 1\n3 1 2 3 6 .5 .5 0 0 .3 .3\n"
    )
    for name in ("a.ply", "b.ply"):
        vertices, faces = read_mesh(tmp_path / name, 6)
        np.testing.assert_array_equal(vertices[:, 0], np.arange(6))
        assert faces.tolist() == [[0, 1, 3], [1, 2, 3]]
