"""`thunder articulate`: recordings with their texts or phone times become a corpus with faces, and what fails is named."""

import json
import shutil

import numpy as np
import pytest

from stages.articulate import articulate
from stages.audio.waveform import load_waveform, write_wav
from stages.corpora.layout import open_corpus
from stages.formats.live_link_face import read_live_link_face
from stages.heads.arkit import ARKIT_FEATURES
from stages.synthesize import synthesize
from tests.shell import run
from tests.test_synthesize import hashes

JAW = ARKIT_FEATURES.index("jawOpen")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Three people, whose speech the synthesiser made: sound and phone times, and the text of the first."""
    folder = tmp_path_factory.mktemp("articulate")
    synthesize(folder / "made", num_clips=4, num_subjects=3, seed=4)
    for wav in sorted((folder / "made").glob("*/*.wav")):
        place = folder / "people" / wav.parent.name / "readings"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(wav, place)
        shutil.copy(wav.with_suffix(".phones.json"), place)
        shutil.copy(wav.with_suffix(".txt"), place)
    return folder / "people"


@pytest.fixture(scope="module")
def corpus(people, tmp_path_factory):
    folder = tmp_path_factory.mktemp("articulated") / "corpus"
    made = articulate(people, folder, times=2, seed=5)
    assert (made.num_people, made.num_recordings, made.num_clips, made.failures) == (3, 4, 8, [])
    return folder


def test_faces_say_what_is_said(people, corpus):
    recordings = open_corpus(corpus).recordings
    assert [r.id for r in recordings[:4]] == ["s000_0000", "s000_0000-2", "s000_0001", "s000_0001-2"]
    for name in ("0000", "0000-2"):
        motion, fps = read_live_link_face(corpus / "s000" / f"{name}.csv")
        sound = load_waveform(corpus / "s000" / f"{name}.wav")
        phones = json.loads((corpus / "s000" / f"{name}.phones.json").read_text())
        assert len(sound) / 16_000 == pytest.approx(len(motion) / fps, abs=1e-3)
        assert phones[-1]["end_s"] == pytest.approx(len(sound) / 16_000, abs=1 / fps)
        middles = np.array([(p["start_s"] + p["end_s"]) / 2 for p in phones])
        jaw = motion[np.clip(np.round(middles * fps).astype(int), 0, len(motion) - 1), JAW]
        labels = [p["label"].rstrip("012") for p in phones]
        openness = {kind: jaw[[label in names for label in labels]].mean() for kind, names in
                    {"open": ("AA", "AE", "AY", "EH", "AO"), "closed": ("P", "B", "M", "SIL")}.items()}  # fmt: skip
        assert openness["open"] > 3 * openness["closed"], openness


def test_a_recording_stays_as_it_is_and_other_times_are_played_slower_or_faster(people, corpus):
    original = load_waveform(people / "s000" / "readings" / "0000.wav")
    first, second = (load_waveform(corpus / "s000" / f"{name}.wav") for name in ("0000", "0000-2"))
    assert len(original) - 640 <= len(first) <= len(original)
    np.testing.assert_array_equal(first, original[: len(first)])
    assert 0.8 < len(second) / len(first) < 1.2
    assert len(second) != len(first)


def test_one_seed_one_corpus_and_people_keep_their_splits(people, corpus, tmp_path):
    articulate(people, tmp_path / "again", times=2, seed=5, jobs=2)
    assert hashes(tmp_path / "again") == hashes(corpus)
    articulate(people, tmp_path / "other", times=2, seed=6)
    assert hashes(tmp_path / "other").keys() == hashes(corpus).keys()
    splits = {r.subject: r.split for r in open_corpus(corpus).recordings}
    assert sorted(splits.values()) == ["test", "train", "val"]
    assert {r.subject: r.split for r in open_corpus(tmp_path / "other").recordings} == splits


def test_texts_are_aligned_where_there_are_no_times(people, corpus, tmp_path):
    pytest.importorskip("pocketsphinx")
    shutil.copytree(people, tmp_path / "people", ignore=shutil.ignore_patterns("*.phones.json"))
    articulate(tmp_path / "people", tmp_path / "corpus", at_most=1, seed=5)
    assert len(list((tmp_path / "corpus").glob("*/*.csv"))) == 3
    recipe = json.loads((tmp_path / "corpus" / "synthesis.json").read_text())
    assert recipe["aligner"].startswith("pocketsphinx 5")
    for name in ("s000", "s001", "s002"):
        found, true = (read_live_link_face(c / name / "0000.csv")[0][:, JAW] for c in (tmp_path / "corpus", corpus))
        # Other draws of effort, the same phones: the mouth opens at the same times.
        assert np.corrcoef(found, true)[0, 1] > 0.75


def test_what_cannot_be_used_is_named_and_the_rest_is_done(people, tmp_path):
    shutil.copytree(people, tmp_path / "people")
    write_wav(tmp_path / "people/s001/quiet.wav", np.zeros(16_000, "f4"))
    (tmp_path / "people/s001/quiet.txt").write_text("nothing")
    (tmp_path / "people/s001/lone.wav").touch()
    code, out, err = run("articulate", str(tmp_path / "people"), str(tmp_path / "corpus"), "--jobs", "1", "--json")
    assert code == 1
    assert json.loads(out)["clips"] == 4
    assert "2 of 6 recordings failed: s001/lone.wav: no lone.txt beside it says what is said" in err
    assert "s001/quiet.wav: wanted 0.5 s of speech or more" in err
    assert len(open_corpus(tmp_path / "corpus").recordings) == 4
    code, _, err = run("articulate", str(tmp_path / "people"), str(tmp_path / "corpus"))
    assert (code, "exists already" in err) == (1, True)


def test_nothing_is_left_where_nothing_can_be_used(tmp_path):
    (tmp_path / "people/anna").mkdir(parents=True)
    write_wav(tmp_path / "people/anna/quiet.wav", np.zeros(16_000, "f4"))
    (tmp_path / "people/anna/quiet.phones.json").write_text('[{"start_s": 0, "end_s": 1, "label": "SIL"}]')
    code, _, err = run("articulate", str(tmp_path / "people"), str(tmp_path / "corpus"), "--jobs", "1")
    assert (code, "1 of 1 recordings failed" in err) == (1, True)
    assert [p.name for p in tmp_path.iterdir()] == ["people"]
