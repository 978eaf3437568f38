"""Visemes: events without gaps, of every phone, in both sets."""

import pytest

from stages.artifacts.clips import Phone
from stages.formats.viseme_events import viseme_events
from stages.metrics.visemes import OCULUS_VISEMES, PHONES, VISEMES, oculus_viseme_of, viseme_of
from stages.runtime.errors import ThunderError


def events(*phones: tuple[float, float, str], duration_s: float = 1.0) -> list[tuple[float, float, str]]:
    found = viseme_events([Phone(*phone) for phone in phones], duration_s, oculus_viseme_of, "sil")
    return [(event["start_s"], event["end_s"], event["viseme"]) for event in found]


def test_neighbours_of_one_viseme_are_one_and_gaps_are_silence() -> None:
    assert events((0.1, 0.2, "P"), (0.2, 0.3, "B"), (0.3, 0.4, "AA1"), (0.5, 0.6, "S")) == [
        (0.0, 0.1, "sil"),
        (0.1, 0.3, "PP"),
        (0.3, 0.4, "aa"),
        (0.4, 0.5, "sil"),
        (0.5, 0.6, "SS"),
        (0.6, 1.0, "sil"),
    ]


def test_phones_that_overlap_are_empty_or_outlast_the_speech_are_cut() -> None:
    assert events((0.0, 0.5, "M"), (0.4, 0.7, "OW0"), (0.7, 0.7, "T"), (0.7, 1.5, "K")) == [
        (0.0, 0.5, "PP"),
        (0.5, 0.7, "oh"),
        (0.7, 1.0, "kk"),
    ]
    assert events((0.0, 0.4, "M"), (2.0, 3.0, "M")) == [(0.0, 0.4, "PP"), (0.4, 1.0, "sil")]


def test_every_phone_has_a_viseme_of_each_set_and_every_viseme_a_phone() -> None:
    spoken = (*PHONES, "AH0", "ER0")
    assert {viseme_of(phone) for phone in spoken} == set(VISEMES)
    assert {oculus_viseme_of(phone) for phone in spoken} == set(OCULUS_VISEMES)
    assert len(OCULUS_VISEMES) == 15
    assert oculus_viseme_of("IY2") == "ih"


def test_a_label_of_another_alphabet_is_named() -> None:
    with pytest.raises(ThunderError, match=r"phone 'ʃ' at 0\.100 s: wanted ARPAbet, such as AA1, P or SIL"):
        events((0.1, 0.2, "ʃ"))
