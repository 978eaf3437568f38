"""Character error rate by hand."""

import math

import pytest
import torch

from stages.metrics.readability import character_error_rate, num_characters, read_and_compare, unreadable
from tests.models.test_recogniser import tiny


@pytest.mark.parametrize(
    ("transcript", "read", "rate"),
    [
        ("hello", ["hello"], 0.0),
        ("Hello!", ["hello"], 0.0),
        ("hello", ["hallo"], 1 / 5),
        ("hello", ["helo"], 1 / 5),
        ("hello", ["hhello"], 1 / 5),
        ("a cat", ["acat"], 1 / 5),
        ("hello", [""], 1.0),
        ("hi", ["hello"], 4 / 2),  # one wrong, three too many
        ("hello", ["hello", "hallo", "he"], (0 + 1 + 3) / 15),
    ],
)
def test_edits_over_characters(transcript: str, read: list[str], rate: float) -> None:
    assert character_error_rate(transcript, read) == pytest.approx(rate)


def test_no_transcript_has_no_error_rate() -> None:
    assert math.isnan(character_error_rate("...", ["hello"]))
    assert num_characters("...") == 0
    assert num_characters("A  cat.") == 5


def test_characters_that_cannot_be_written_leave_a_clip_out() -> None:
    model = tiny()
    assert unreadable(model, "Abc, xa x?") == "x"
    assert math.isnan(read_and_compare(model, torch.zeros(1, 40, 80), "abx"))
    assert math.isfinite(read_and_compare(model, torch.zeros(1, 40, 80), "ab"))
