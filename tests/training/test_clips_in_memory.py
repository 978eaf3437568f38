"""Which clips are trained on, and what a poor tracker makes of them."""

from pathlib import Path

import torch

from stages.artifacts.clips import open_clips
from stages.training.clips_in_memory import TrainingClip, load_training_clips, mistrack
from tests.builders import small_dataset


def test_some_clips_are_drawn_by_the_seed(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path / "dataset.h5", splits=("train",) * 8 + ("val",))
    with open_clips(dataset) as file:
        drawn = [[c.id for c in load_training_clips(file, "train", at_most=3, seed=seed)[0]] for seed in (0, 0, 1)]
        every = {clip.id for clip in load_training_clips(file, "train")[0]}
        assert len(load_training_clips(file, "train", at_most=99)[0]) == 8
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(ids)) == 3 and set(ids) < every for ids in drawn)


def _moving_clips() -> list[TrainingClip]:
    """Two clips of 2000 frames; feature 0 moves ten times as much as feature 1, feature 2 stands still."""
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([1.0, 0.1, 0.0])
    silence = torch.zeros(2, 80)
    return [
        TrainingClip(
            f"c{k}", "ann", "happy", 1.0, scale * torch.randn(2000, 3, generator=generator), silence, silence, silence
        )
        for k in range(2)
    ]


def test_tracking_errors_are_in_deviations_of_each_feature_and_last_a_fifth_of_a_second() -> None:
    clips, true = _moving_clips(), _moving_clips()
    mistrack(clips, 0.3, fps=25.0, seed=5)
    errors = torch.stack([clip.motion - original.motion for clip, original in zip(clips, true, strict=True)])
    torch.testing.assert_close(errors.flatten(0, 1).std(0), torch.tensor([0.3, 0.03, 0.0]), rtol=0.1, atol=1e-6)
    moving = errors[..., :2]

    def correlation(lag: int) -> torch.Tensor:
        return (moving[:, lag:] * moving[:, :-lag]).mean((0, 1)) / moving.square().mean((0, 1))

    assert (correlation(1) > 0.6).all()
    assert (correlation(6).abs() < 0.1).all()
    assert (moving[0] * moving[1]).mean().abs() < 0.1 * moving.square().mean()  # each clip has errors of its own


def test_tracking_errors_are_those_of_the_seed() -> None:
    same, again, other = _moving_clips(), _moving_clips(), _moving_clips()
    for clips, seed in ((same, 5), (again, 5), (other, 6)):
        mistrack(clips, 0.3, fps=25.0, seed=seed)
    assert torch.equal(same[0].motion, again[0].motion)
    assert not torch.equal(same[0].motion, other[0].motion)
