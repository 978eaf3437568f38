"""Recordings of people in folders: what is found, what is said to be missing, and phone times read from files."""

import json

import numpy as np
import pytest

from stages.corpora.synthesis.recordings import find_recordings, read_phones
from stages.runtime.errors import ThunderError


def test_texts_stand_beside_sounds_or_in_the_list_of_their_folder(tmp_path):
    (tmp_path / "anna").mkdir()
    for name in ("anna/b.wav", "anna/a.flac", "84/121/84-121-0000.flac", "84/121/84-121-0001.flac", "84/121/notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "anna/a.txt").write_text("Good  morning\n", encoding="utf-8-sig")
    (tmp_path / "anna/b.phones.json").write_text("[]")
    (tmp_path / "84/121/84-121.trans.txt").write_text("84-121-0000 GO ON\n84-121-0001 AND ON\n84-121-0002\n")
    found, problems = find_recordings(tmp_path)
    assert [(r.name, r.person, r.text) for r in found] == [
        ("84/121/84-121-0000.flac", "84", "GO ON"),
        ("84/121/84-121-0001.flac", "84", "AND ON"),
        ("anna/a.flac", "anna", "Good morning"),
        ("anna/b.wav", "anna", ""),
    ]
    assert [r.phones is not None for r in found] == [False, False, False, True]
    assert problems == []
    first, _ = find_recordings(tmp_path, at_most=1)
    assert [r.name for r in first] == ["84/121/84-121-0000.flac", "anna/a.flac"]


def test_sounds_without_texts_are_named(tmp_path):
    (tmp_path / "ben").mkdir()
    (tmp_path / "ben/one.wav").touch()
    with pytest.raises(ThunderError, match=r"found none; ben/one.wav: no one.txt beside it"):
        find_recordings(tmp_path)
    (tmp_path / "ben/two.wav").touch()
    (tmp_path / "ben/two.txt").write_text("two")
    found, problems = find_recordings(tmp_path)
    assert [r.name for r in found] == ["ben/two.wav"]
    assert [p.item for p in problems] == ["ben/one.wav"]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_recordings_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ThunderError, match="no such folder" if name == "missing" else "found none$"):
        find_recordings(tmp_path / name)


def phones_of(tmp_path, rows, duration_s=1.0):
    path = tmp_path / "a.phones.json"
    path.write_text(json.dumps([{"start_s": a, "end_s": b, "label": label} for a, b, label in rows]))
    return read_phones(path, duration_s)


def test_what_lies_between_phones_and_around_them_is_silence(tmp_path):
    phones = phones_of(tmp_path, [(0.2, 0.3, "P"), (0.301, 0.5, "AH1"), (0.6, 0.7, "SIL"), (0.7, 0.8, "M")])
    assert phones.labels == ("SIL", "P", "AH1", "SIL", "M", "SIL")
    np.testing.assert_allclose(phones.boundaries_s, [0, 0.2, 0.3, 0.5, 0.7, 0.8, 1.0])
    whole = phones_of(tmp_path, [(0, 0.5, "AA1"), (0.5, 1.004, "SIL")])
    assert whole.labels == ("AA1", "SIL")
    assert whole.boundaries_s[-1] == 1.0


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "wanted phones, found none"),
        ([(0, 0.5, "a:")], "wanted labels of ARPAbet, or SIL, found 'a:'"),
        (
            [(0, 0.5, "AA1"), (0.4, 0.6, "M")],
            "wanted phones one after the other within 1.00 s, found M from 0.4 to 0.6 s",
        ),
        ([(0.5, 0.5, "AA1")], "wanted phones one after the other"),
        ([(0.5, 1.5, "AA1")], "wanted phones one after the other"),
    ],
)
def test_phone_times_that_make_no_sense(tmp_path, rows, says):
    with pytest.raises(ThunderError, match=says):
        phones_of(tmp_path, rows)
