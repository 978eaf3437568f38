"""Analysis by audio synthesis: a model that has learned to hear tells the true motion from another, with a gradient."""

import pytest
import torch

from stages.heads.head import build_head
from stages.losses.audio_consistency import audio_consistency
from stages.models.mesh_to_speech import MeshToSpeech, MeshToSpeechConfig, visible_size
from stages.training.face_augmentation import FaceAugmentation
from stages.training.m2s_objective import M2SObjective, M2SWeights
from stages.training.windows import WindowShape, draw_windows
from tests.builders import small_head
from tests.training.clips import NUM_FEATURES, telling_clip

HEAD = build_head(small_head())
SHAPE = WindowShape(25, 25.0)
NO_AUGMENTATION = FaceAugmentation(noise=0, jitter=0, turn_rad=0, speed=0, hidden=0)


@pytest.fixture(scope="module")
def judge() -> MeshToSpeech:
    """Learned, from two short clips, what the speech of their motion is."""
    torch.manual_seed(0)
    size, _ = visible_size(HEAD.record, "exp2s")
    network = MeshToSpeech(
        MeshToSpeechConfig(
            input="exp2s", input_size=size, dim=32, num_layers=1, num_heads=2, kernel=5, dropout=0, num_units=6,
            voice_dim=8,
        )
    )  # fmt: skip
    objective = M2SObjective(
        network, HEAD, M2SWeights(), NO_AUGMENTATION, motion_scale=torch.ones(NUM_FEATURES), num_speakers=1
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    clips = [telling_clip(60, 25.0, seed=seed) for seed in range(2)]
    for _ in range(80):
        terms = objective(draw_windows(clips, SHAPE, 4, generator), 25.0, SHAPE.num_frames)
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
    return network.eval().requires_grad_(False)


def test_true_motion_speaks_better_than_another_and_the_gradient_leads_there(judge: MeshToSpeech) -> None:
    batch = draw_windows([telling_clip(60, 25.0, seed=0)], SHAPE, 8, torch.Generator().manual_seed(1))

    def heard_in(motion: torch.Tensor) -> torch.Tensor:
        return audio_consistency(
            judge, HEAD, motion, 25.0, log_mel=batch.log_mel, units=batch.units, mask=batch.mel_mask
        ).total()

    true = heard_in(batch.motion)
    assert true.shape == (8,)
    for other in (batch.motion.roll(3, dims=1), batch.motion.flip(1), torch.zeros_like(batch.motion)):
        assert true.mean() < 0.8 * heard_in(other).mean()
    motion = batch.motion.roll(2, dims=1).requires_grad_()
    before = heard_in(motion).mean()
    (gradient,) = torch.autograd.grad(before, motion)
    assert (gradient.abs().sum((1, 2)) > 0).all()
    assert heard_in(motion - 0.05 * gradient / gradient.abs().max()).mean() < before


def test_masked_speech_is_not_compared_and_items_stand_alone(judge: MeshToSpeech) -> None:
    batch = draw_windows([telling_clip(60, 25.0, seed=0)], SHAPE, 2, torch.Generator().manual_seed(1))
    mask = torch.ones(2, 100)
    mask[:, 60:] = 0
    units = batch.units.clone()
    units[:, 30:] = 0
    found = audio_consistency(judge, HEAD, batch.motion, 25.0, log_mel=batch.log_mel, units=batch.units, mask=mask)
    other = audio_consistency(judge, HEAD, batch.motion, 25.0, log_mel=batch.log_mel, units=units, mask=mask)
    torch.testing.assert_close(found.units, other.units)
    alone = audio_consistency(
        judge, HEAD, batch.motion[1:], 25.0, log_mel=batch.log_mel[1:], units=batch.units[1:], mask=mask[1:]
    )
    torch.testing.assert_close(found.mel[1:], alone.mel, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.total(mel_weight=2, unit_weight=3), 2 * found.mel + 3 * found.units)


def test_the_judges_features_tell_another_motion_from_the_true_one(judge: MeshToSpeech) -> None:
    batch = draw_windows([telling_clip(60, 25.0, seed=0)], SHAPE, 2, torch.Generator().manual_seed(1))
    speech = {"log_mel": batch.log_mel, "units": batch.units, "true_motion": batch.motion}
    late = batch.motion.clone()
    late[:, 20:] = 0
    other = late.clone().requires_grad_()
    same, found = (audio_consistency(judge, HEAD, motion, 25.0, **speech) for motion in (batch.motion, other))
    torch.testing.assert_close(same.features, torch.zeros(2))
    assert (found.features > 1e-3).all()
    (gradient,) = torch.autograd.grad(found.total(mel_weight=0, unit_weight=0, feature_weight=1).sum(), other)
    assert (gradient.abs().sum((1, 2)) > 0).all()
    untold = audio_consistency(judge, HEAD, late, 25.0, log_mel=batch.log_mel, units=batch.units)
    torch.testing.assert_close(untold.features, torch.zeros(2))
    # What lies beyond the mask is not compared; what is changed at its edge is heard a little before, too.
    mask = torch.ones(2, 100)
    mask[:, 40:] = 0
    masked = audio_consistency(judge, HEAD, late, 25.0, **speech, mask=mask)
    assert (masked.features < 0.5 * found.features.detach()).all()


def test_pieces_of_a_batch_are_heard_as_the_whole_is(judge: MeshToSpeech) -> None:
    batch = draw_windows([telling_clip(60, 25.0, seed=0)], SHAPE, 5, torch.Generator().manual_seed(1))
    mask = torch.ones(5, 100)
    mask[3, 50:] = 0

    def heard(most_mel_frames: int) -> tuple[torch.Tensor, ...]:
        motion = (0.9 * batch.motion).requires_grad_()
        found = audio_consistency(
            judge, HEAD, motion, 25.0, log_mel=batch.log_mel, units=batch.units, mask=mask, true_motion=batch.motion,
            most_mel_frames=most_mel_frames,
        )  # fmt: skip
        (gradient,) = torch.autograd.grad(found.total(feature_weight=1.0).sum(), motion)
        return found.mel, found.units, found.unit_accuracy, found.features, gradient

    whole = heard(500)
    for most in (499, 200, 1):
        for ours, theirs in zip(heard(most), whole, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_pieces_are_kept_for_the_backward_pass_by_their_motion_alone(judge: MeshToSpeech) -> None:
    batch = draw_windows([telling_clip(60, 25.0, seed=0)], SHAPE, 8, torch.Generator().manual_seed(1))

    def kept(most_mel_frames: int) -> int:
        sizes: list[int] = []
        motion = batch.motion.clone().requires_grad_()

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            found = audio_consistency(
                judge, HEAD, motion, 25.0, log_mel=batch.log_mel, units=batch.units, most_mel_frames=most_mel_frames
            )
            found.total().sum()
        return sum(sizes)

    assert kept(100) < 0.2 * kept(800)
