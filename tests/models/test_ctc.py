"""CTC: paths worked by hand, and a beam search against the sum over every path."""

from itertools import groupby, product

import numpy as np
import pytest
import torch

from stages.models.characters import BLANK, decode, encode, normalise_text
from stages.models.ctc import beam_search, expected_frames, frames_needed, greedy_labels, likeliest_texts


def path(*labels: int, num_labels: int = 4) -> torch.Tensor:
    """Log-probabilities in which these labels are likeliest, frame by frame."""
    return torch.nn.functional.one_hot(torch.tensor(labels), num_labels).float().mul(5).log_softmax(-1)


def spelt(labels: tuple[int, ...]) -> tuple[int, ...]:
    """Repetitions merged, then blanks removed, by hand."""
    merged = [c for k, c in enumerate(labels) if k == 0 or c != labels[k - 1]]
    return tuple(c for c in merged if c != 0)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((0, 0, 0), []),
        ((1, 1, 1), [1]),
        ((1, 0, 1), [1, 1]),
        ((0, 3, 3, 0, 2, 2, 2), [3, 2]),
        ((2, 1, 2), [2, 1, 2]),
        ((1,), [1]),
    ],
)
def test_repetitions_merge_unless_a_blank_parts_them(labels: tuple[int, ...], said: list[int]) -> None:
    assert greedy_labels(path(*labels)) == said
    assert beam_search(path(*labels), 4) == said


def test_many_weak_paths_outweigh_the_likeliest_one() -> None:
    # The likeliest path is two blanks (.36); but "a" is spelt by a-, -a and aa: .24 + .24 + .16.
    log_probs = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    assert greedy_labels(log_probs) == []
    assert beam_search(log_probs, 2) == [1]


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_beam_finds_the_sequence_whose_paths_are_likeliest_together(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.randn(5, 3, generator=generator, dtype=torch.float64).log_softmax(-1)
    totals: dict[tuple[int, ...], float] = {}
    for labels in product(range(3), repeat=5):
        probability = float(np.exp(sum(float(log_probs[t, c]) for t, c in enumerate(labels))))
        totals[spelt(labels)] = totals.get(spelt(labels), 0.0) + probability
    assert beam_search(log_probs, 1000) == list(max(totals, key=lambda said: totals[said]))


def test_the_other_texts_of_a_beam_stand_by_their_probability() -> None:
    # --: .36; a: .64, by a-, -a and aa.
    texts = likeliest_texts(torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log(), 2)
    assert [text for text, _ in texts] == [[1], []]
    np.testing.assert_allclose([score for _, score in texts], np.log([0.64, 0.36]), rtol=1e-6)
    assert likeliest_texts(path(1, 0), 1)[0][0] == [1]


def test_a_blank_more_between_two_of_a_kind() -> None:
    assert frames_needed([1, 2, 3]) == 3
    assert frames_needed([1, 1, 2, 2, 2]) == 8
    assert frames_needed([]) == 0


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Don't  STOP, please!", "don t stop please"),
        ("  forty-one\tcows\n", "forty one cows"),
        ("E\u0301te\u0301", "été"),
        ("नमस्ते!", "नमस्ते"),
        ("In 1984?", "in"),
        ("...", ""),
    ],
)
def test_text_is_lower_case_letters_and_single_spaces(text: str, normal: str) -> None:
    assert normalise_text(text) == normal


def test_characters_are_numbered_from_one() -> None:
    assert encode("ba", " ab") == [3, 2]
    assert decode([3, 2, 1, 1, 3], " ab") == "ba b"


def test_when_labels_are_spelled_is_the_mean_over_all_paths() -> None:
    log_probs = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    labels = [2, 2, 3]
    columns, times = [BLANK, *labels], torch.zeros(2, 3)  # weighted frames, and weights
    for path in product(range(4), repeat=5):
        if [place for place, _ in groupby(path) if place] == [1, 2, 3]:
            likely = float(sum(log_probs[t, columns[place]] for t, place in enumerate(path)).exp())
            for t, place in enumerate(path):
                if place:
                    times[:, place - 1] += torch.tensor([likely * t, likely])
    torch.testing.assert_close(expected_frames(log_probs, labels), times[0] / times[1])
