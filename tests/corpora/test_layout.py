from pathlib import Path

import pytest

from stages.corpora.layout import LAYOUTS, open_corpus, recognise
from stages.runtime.errors import ThunderError
from tests.builders import small_head
from tests.corpora.written import (
    write_arkit_corpus,
    write_biwi,
    write_meshes,
    write_recording,
    write_vocaset,
    write_vocaset_processed,
)
from tests.corpora.written_flame import write_flame_corpus


def test_each_layout_is_recognised(tmp_path: Path) -> None:
    write_arkit_corpus(tmp_path / "arkit", subjects=("ann",), clips=1)
    write_recording(tmp_path / "flat", "a")
    write_vocaset(tmp_path / "vocaset")
    write_vocaset_processed(tmp_path / "processed")
    write_flame_corpus(tmp_path / "flame", subjects=("ann",))
    write_biwi(tmp_path / "biwi")
    write_meshes(tmp_path / "meshes")
    found = [recognise(p) for p in sorted(tmp_path.iterdir())]
    assert found == ["arkit", "biwi", "flame", "arkit", "meshes", "vocaset-processed", "vocaset"]
    assert set(found) == set(LAYOUTS)


def test_a_download_that_lacks_a_file_is_still_vocaset(tmp_path: Path) -> None:
    write_vocaset(tmp_path)
    (tmp_path / "data_verts.npy").unlink()
    assert recognise(tmp_path) == "vocaset"


def test_an_unknown_folder_says_what_was_found_and_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match=r"found an empty folder; wanted arkit: .*vocaset: .*vocaset-processed: "):
        recognise(tmp_path)
    for name in ("a.wav", "b.wav", "c.obj"):
        (tmp_path / name).touch()
    with pytest.raises(ThunderError, match=r"found 2 \.wav, 1 \.obj of 3 files"):
        recognise(tmp_path)
    with pytest.raises(ThunderError, match="no such folder"):
        recognise(tmp_path / "missing")
    with pytest.raises(ThunderError, match="a file, wanted the folder"):
        recognise(tmp_path / "a.wav")


def test_a_flame_file_for_another_layout_is_refused(tmp_path: Path) -> None:
    write_meshes(tmp_path / "meshes")
    with pytest.raises(ThunderError, match=r"--flame .*found layout meshes; leave it out"):
        open_corpus(tmp_path / "meshes", flame_path=tmp_path / "flame.pkl")
    (tmp_path / "unknown").mkdir()
    with pytest.raises(ThunderError, match=r"flame\.pkl: .*FLAME"):
        open_corpus(tmp_path / "unknown", flame_path=tmp_path / "flame.pkl")


def test_the_layout_can_be_named(tmp_path: Path) -> None:
    write_recording(tmp_path / "ann", "a")
    assert len(open_corpus(tmp_path, "arkit", head=small_head()).recordings) == 1
    with pytest.raises(
        ThunderError,
        match=r"data_verts\.npy, raw_audio_fixed\.pkl, .* missing, wanted .*; they are the download of VOCASET",
    ):
        open_corpus(tmp_path, "vocaset")
    with pytest.raises(ThunderError, match="layout 'other' is not known; choose one of arkit"):
        open_corpus(tmp_path, "other")
