import pytest

from stages.corpora.synthesis import festival, flite
from stages.corpora.synthesis.held_out import PERSONS, splits
from stages.runtime.errors import ThunderError


def of_flite(*voices: str) -> list[tuple[str, str, str]]:
    return [("flite", "en", voice) for voice in voices]


def test_every_voice_of_every_engine_is_a_persons():
    assert set(PERSONS) == set(flite.VOICES) | set(festival.VOICES)


def test_a_held_out_person_is_in_the_test_alone_and_nobody_else_is():
    cast = of_flite("slt", "rms", "awb", "kal16") * 8
    found = splits(cast, ("rms",))
    assert {voice for (_, _, voice), split in zip(cast, found, strict=True) if split == "test"} == {"rms"}
    assert {split for (_, _, voice), split in zip(cast, found, strict=True) if voice == "rms"} == {"test"}
    # 24 others: the tenth and the twentieth are for validation.
    assert (found.count("val"), found.count("train")) == (2, 22)


def test_a_person_is_held_out_of_every_engine():
    cast = [*of_flite("slt", "rms", "awb"), ("festival", "en", "cmu_us_slt_arctic_hts")]
    assert splits(cast, ("slt",)) == ["test", "train", "val", "test"]


def test_speakers_of_espeak_are_left_to_be_split_by_speaker():
    cast = [*of_flite("slt", "rms", "awb"), ("espeak", "en", ""), ("espeak", "de", "")]
    assert splits(cast, ("rms",)) == ["train", "test", "val", None, None]


@pytest.mark.parametrize("cast", [of_flite("slt", "awb", "kal16"), of_flite("rms", "slt"), [("espeak", "en", "")] * 3])
def test_nothing_is_decided_where_nobody_is_held_out_or_too_few_would_be_left(cast):
    assert splits(cast, ("rms",)) == [None] * len(cast)


def test_an_unknown_person_is_named():
    with pytest.raises(ThunderError, match=r"--held-out: wanted some of awb, .*slt, found bob"):
        splits(of_flite("slt"), ("bob",))
