"""Phones by frame, what is taken for what, and whether mistakes stay within what looks alike."""

import numpy as np
import pytest

from stages.artifacts.clips import Phone
from stages.corpora.synthesis.phones import VISEMES as SHAPES
from stages.metrics.phone_confusions import UNKNOWN, count_confusions, phones_at, phones_of_units, tally
from stages.metrics.visemes import PHONES, VISEMES, viseme_of, without_stress

P, B, M, F, AA, SIL = (PHONES.index(phone) for phone in ("P", "B", "M", "F", "AA", "SIL"))


def test_every_phone_of_the_corpus_has_its_viseme() -> None:
    assert set(SHAPES) == set(PHONES)
    assert len(PHONES) == len(set(PHONES)) == 40
    assert {viseme_of(phone) for phone in PHONES} | {"@"} == set(VISEMES)
    assert viseme_of("P") == viseme_of("M") == "p"
    assert (viseme_of("AH0"), viseme_of("AH1"), viseme_of("AH")) == ("@", "E", "E")
    assert viseme_of("OW2") == "o"
    assert viseme_of("?") is None
    assert without_stress("AE1") == "AE"


def test_frames_take_the_phone_that_they_stand_in() -> None:
    phones = (Phone(0.0, 0.04, "SIL"), Phone(0.04, 0.1, "AA1"), Phone(0.14, 0.16, "P"), Phone(0.16, 0.2, "click"))
    found = phones_at(phones, 11, 50.0)
    assert found.tolist() == [SIL, SIL, AA, AA, AA, UNKNOWN, UNKNOWN, P, UNKNOWN, UNKNOWN, UNKNOWN]
    assert (phones_at((), 3, 50.0) == UNKNOWN).all()


def test_confusions_and_their_visemes_by_hand() -> None:
    true = np.array([P, P, P, B, AA, SIL, UNKNOWN, P])
    heard = np.array([P, B, F, M, P, SIL, P, SIL])
    counts = count_confusions(true, heard)
    assert counts.sum() == 7
    assert (counts[P, B], counts[P, F], counts[SIL, SIL]) == (1, 1, 1)
    found = tally(counts)
    assert (found.frames, found.right, found.mistakes, found.alike) == (5, 1, 4, 2)
    # Heard, silence apart: P 2, B 1, F 1, M 1. A mistake about P draws B or M in 2 of 3; about B, P or M in 3 of 4.
    assert found.alike_by_chance == pytest.approx(2 * 2 / 3 + 3 / 4)
    of_clips = tally(np.stack([counts, counts, 0 * counts]))
    assert of_clips.mistakes.tolist() == [4, 4, 0]
    assert of_clips.alike_by_chance.tolist() == pytest.approx([2 * 2 / 3 + 3 / 4] * 2 + [0])


def test_units_stand_for_the_phones_that_they_occur_in() -> None:
    likely = phones_of_units(np.array([0, 0, 0, 1, 1]), np.array([P, P, P, AA, UNKNOWN]), 3)
    assert likely.shape == (3, len(PHONES))
    assert likely.sum(1) == pytest.approx([1, 1, 1])
    assert likely.argmax(1).tolist() == [P, AA, P]  # unit 2 never occurs: it says what is common
