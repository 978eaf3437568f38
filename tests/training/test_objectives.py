"""Both objectives: they learn a tiny batch, count what they should, and leave the judge as it is."""

import math
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from stages.heads.head import build_head, region_indices
from stages.losses.audio_consistency import audio_consistency
from stages.metrics.phone_confusions import UNKNOWN
from stages.models.mesh_to_speech import MeshToSpeech, MeshToSpeechConfig, visible_size
from stages.models.motion_denoiser import MotionDenoiser
from stages.training import diffusion_objective, guidance
from stages.training.diffusion_objective import (
    DiffusionObjective,
    DiffusionWeights,
    Dropout,
    ListeningSchedule,
    Scales,
    listening_share,
    phones_named,
)
from stages.training.face_augmentation import FaceAugmentation
from stages.training.guidance import Guidance, GuidanceWeights
from stages.training.m2s_objective import M2SObjective, M2SWeights
from stages.training.windows import WindowBatch, WindowShape, draw_windows
from tests.builders import small_head
from tests.models.test_motion_denoiser import denoiser_of
from tests.training.clips import NUM_FEATURES, telling_clip

HEAD = build_head(small_head())
BATCH = 4
GEOMETRY = ("coefficients", "vertices", "lips", "closure", "velocity", "smoothness")
ALL_TOLD = Dropout(0.0, 0.0, 0.0)


def judge_of() -> MeshToSpeech:
    torch.manual_seed(0)
    size, indices = visible_size(HEAD.record, "mouth2s")
    model = MeshToSpeech(
        MeshToSpeechConfig(input_size=size, dim=16, num_layers=1, num_heads=2, kernel=5, num_units=6, voice_dim=8)
    )
    model.vertex_indices.copy_(indices)
    model.input_scale.fill_(0.01)
    return model.eval().requires_grad_(False)


def heard_by(judge: MeshToSpeech, **weights: float) -> Guidance:
    return Guidance(HEAD, GuidanceWeights(**weights), judge=judge)


def objective_of(**changes: Any) -> DiffusionObjective:
    denoiser = denoiser_of(num_features=NUM_FEATURES, dim=32, names_phones=True)
    denoiser.motion_scale.fill_(0.2)
    options: dict[str, Any] = {
        "face": torch.arange(0, 64, 5),
        "lips": region_indices(HEAD.record, "lips"),
        "scales": Scales(0.01, 0.01, 0.005, 0.01, torch.ones(NUM_FEATURES)),
        "weights": DiffusionWeights(),
        "dropout": ALL_TOLD,
        "context_noise": 0.0,
    }
    return DiffusionObjective(denoiser, HEAD, **(options | changes))


def batch_for(objective: DiffusionObjective, seed: int = 0) -> WindowBatch:
    config = objective.denoiser.config
    shape = WindowShape(config.window, config.fps, config.context, objective.denoiser.speech_margin)
    clips = [telling_clip(60, config.fps, seed=k) for k in range(2)]
    return draw_windows(clips, shape, BATCH, torch.Generator().manual_seed(seed))


def terms_of(objective: DiffusionObjective, batch: WindowBatch, seed: int = 0) -> dict[str, torch.Tensor]:
    told = torch.ones(BATCH, dtype=torch.long), torch.ones(BATCH), torch.ones(BATCH, dtype=torch.long)
    return objective(batch, *told, torch.Generator().manual_seed(seed))


def test_the_animator_learns_a_tiny_batch() -> None:
    objective = objective_of(guidance=heard_by(judge_of())).train()
    batch = batch_for(objective)
    optimiser = torch.optim.Adam(objective.parameters(), lr=3e-3)
    losses = []
    for number in range(50):
        loss = terms_of(objective, batch, seed=number)["coefficients"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.4 * 2 * sum(losses[:5])


def test_the_judge_listens_without_learning() -> None:
    judge = judge_of()
    objective = objective_of(guidance=heard_by(judge)).train()
    assert not any(name.startswith("guidance") for name, _ in objective.named_parameters())
    assert not judge.training
    terms = terms_of(objective, batch_for(objective))
    assert {"audio_mel", "audio_units", "unit_accuracy"} < set(terms)
    without = terms_of(objective_of(), batch_for(objective))
    assert "audio_mel" not in without
    terms["loss"].backward()
    assert all(p.grad is None for p in judge.parameters())
    silent = objective_of(guidance=heard_by(judge, audio_consistency=0.0))
    assert "audio_mel" not in terms_of(silent, batch_for(objective))


def test_the_same_weights_are_validated_the_same_whatever_was_drawn_before() -> None:
    objective = objective_of(context_noise=0.5, dropout=Dropout(), guidance=heard_by(judge_of())).eval()
    batch = batch_for(objective)
    first = terms_of(objective, batch)
    torch.manual_seed(123)
    again = terms_of(objective, batch)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    other = terms_of(objective, batch, seed=1)
    assert not torch.equal(first["loss"], other["loss"])


def test_listening_adds_its_weighted_share_where_speech_was_told() -> None:
    batch = batch_for(objective_of())
    plain = terms_of(objective_of().eval(), batch)["loss"]
    extra = {}
    for weight in (1.0, 2.0):
        objective = objective_of(guidance=heard_by(judge_of(), audio_consistency=weight)).eval()
        extra[weight] = terms_of(objective, batch)["loss"] - plain
    assert extra[1.0] > 0
    torch.testing.assert_close(extra[2.0], 2 * extra[1.0], atol=1e-4, rtol=1e-3)
    heard = terms_of(objective_of(guidance=heard_by(judge_of())).eval(), batch)
    assert extra[1.0] < heard["audio_mel"] + heard["audio_units"]  # the share of the signal is under 1
    parts = [
        terms_of(objective_of(guidance=heard_by(judge_of(), **w)).eval(), batch)["loss"] - plain
        for w in ({"audio_mel": 0.0}, {"audio_units": 0.0}, {"audio_mel": 0.0, "audio_units": 0.0})
    ]
    whole = heard["loss"] - plain
    assert 0 < parts[0] < whole
    torch.testing.assert_close(parts[0] + parts[1], whole, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(parts[2], torch.zeros(()), atol=1e-5, rtol=0)
    untold = {"dropout": Dropout(1.0, 0.0, 0.0)}
    mute = terms_of(objective_of(**untold).eval(), batch)["loss"]
    asked = terms_of(objective_of(guidance=heard_by(judge_of()), **untold).eval(), batch)["loss"]
    torch.testing.assert_close(asked, mute)


def test_schedules_of_listening() -> None:
    alpha_bar = torch.tensor([1.0, 0.9, 0.75, 0.5, 0.1, 0.0])
    expected = {
        "alpha": [1, 0.9, 0.75, 0.5, 0.1, 0],
        "snr": [1, 1, 0.6, 0.2, 1 / 45, 0],  # 0.75 is three times the noise, of five
        "constant": [1, 1, 1, 1, 1, 1],
        "late": [1, 1, 1, 1, 0, 0],
    }
    assert set(expected) == set(get_args(ListeningSchedule))
    for schedule, shares in expected.items():
        found = listening_share(alpha_bar, schedule)  # type: ignore[arg-type]
        torch.testing.assert_close(found, torch.tensor(shares, dtype=torch.float), msg=schedule)


def test_the_schedule_weighs_what_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_for(objective_of())
    plain = terms_of(objective_of().eval(), batch)["loss"]
    constant = objective_of(guidance=heard_by(judge_of()), schedule="constant").eval()
    terms = terms_of(constant, batch)
    heard = terms["audio_mel"] + terms["audio_units"]
    torch.testing.assert_close(terms["loss"] - plain, GuidanceWeights().audio_consistency * heard, atol=1e-4, rtol=1e-3)
    monkeypatch.setattr(diffusion_objective, "listening_share", lambda alpha_bar, _: 0 * alpha_bar)
    torch.testing.assert_close(terms_of(objective_of(guidance=heard_by(judge_of())).eval(), batch)["loss"], plain)


def test_the_deterministic_twin_is_told_nothing_of_the_truth_and_asked_to_speak_in_full() -> None:
    objective = objective_of(guidance=heard_by(judge_of()))
    config = objective.denoiser.config.model_copy(update={"regression": True})
    objective.denoiser.config = config
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    objective.denoiser.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[:2]))
    batch = batch_for(objective)
    terms = terms_of(objective.eval(), batch)
    x_t, timestep = seen[0]
    assert (x_t == 0).all()
    assert timestep.tolist() == [config.num_timesteps] * BATCH
    assert torch.equal(terms["loss"], terms_of(objective, batch, seed=1)["loss"])  # no dice
    weights = objective.weights
    geometry = sum(getattr(weights, name) * terms[name] for name in (*GEOMETRY, "phones"))
    expected = geometry + GuidanceWeights().audio_consistency * (terms["audio_mel"] + terms["audio_units"])
    torch.testing.assert_close(terms["loss"], expected, rtol=1e-4, atol=1e-5)


def test_a_blur_is_not_listened_to_while_training(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = objective_of(guidance=heard_by(judge_of()))
    batch = batch_for(objective)
    counts = []

    def count(judge: MeshToSpeech, head: object, motion: torch.Tensor, fps: float, **speech: Any) -> Any:
        counts.append(len(motion))
        return audio_consistency(judge, head, motion, fps, **speech)  # type: ignore[arg-type]

    monkeypatch.setattr(guidance, "audio_consistency", count)
    for share, heard in ((0.1, []), (0.9, [BATCH])):
        monkeypatch.setattr(diffusion_objective, "listening_share", lambda alpha_bar, _, s=share: 0 * alpha_bar + s)
        assert torch.isfinite(terms_of(objective.train(), batch)["loss"])
        terms_of(objective.eval(), batch)
        assert counts == [*heard, BATCH]
        counts.clear()


def test_the_judge_hears_the_estimate_in_its_own_unit_beside_its_own_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = objective_of(guidance=heard_by(judge_of())).eval()
    batch = batch_for(objective)
    truth = batch.motion[:, 4:]
    monkeypatch.setattr(MotionDenoiser, "forward", lambda self, *_: self.normalise(truth))
    heard: dict[str, Any] = {}

    def listen(judge: MeshToSpeech, head: object, motion: torch.Tensor, fps: float, **speech: Any) -> Any:
        heard.update(motion=motion, **speech)
        return audio_consistency(judge, head, motion, fps, **speech)  # type: ignore[arg-type]

    monkeypatch.setattr(guidance, "audio_consistency", listen)
    terms = terms_of(objective, batch)
    torch.testing.assert_close(heard["motion"], truth, atol=1e-5, rtol=0)
    assert torch.equal(heard["log_mel"], batch.log_mel)
    assert torch.equal(heard["units"], batch.units)
    assert torch.equal(heard["mask"], batch.mel_mask)
    torch.testing.assert_close(terms["coefficients"], torch.tensor(0.0))


def test_the_truth_costs_nothing_but_its_own_acceleration() -> None:
    objective = objective_of(weights=DiffusionWeights(smoothness=1.0))
    truth = torch.randn(BATCH, 12, NUM_FEATURES)
    before, mask = truth[:, :1] - 0.1, torch.ones(BATCH, 12)
    terms = objective._geometry(truth, truth, before, mask)
    assert all((value == 0).all() for name, value in terms.items() if name != "smoothness")
    assert all(value.shape == (BATCH,) for value in terms.values())
    # A constant offset is no velocity, but for the seam: one step of 12.
    jumped = objective._geometry(truth + 1, truth, before, mask)
    offset = objective._geometry(truth + 1, truth, before, mask)["coefficients"]
    torch.testing.assert_close(offset, torch.ones(BATCH), atol=1e-4, rtol=0)
    torch.testing.assert_close(jumped["velocity"], torch.full((BATCH,), 1 / 12), atol=1e-3, rtol=0)


def test_what_lies_beyond_the_clip_does_not_count() -> None:
    objective = objective_of()
    truth, estimate = torch.randn(2, BATCH, 12, NUM_FEATURES)
    mask = torch.ones(BATCH, 12)
    mask[:, 7:] = 0
    other = estimate.clone()
    other[:, 7:] += 9
    first = objective._geometry(estimate, truth, truth[:, :1], mask)
    second = objective._geometry(other, truth, truth[:, :1], mask)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], msg=name)


def test_generators_decide_everything() -> None:
    objective = objective_of(guidance=heard_by(judge_of())).eval()
    batch = batch_for(objective)
    assert torch.equal(terms_of(objective, batch)["loss"], terms_of(objective, batch)["loss"])
    assert not torch.equal(terms_of(objective, batch, 1)["loss"], terms_of(objective, batch)["loss"])


def test_a_start_does_not_see_what_stands_in_its_context() -> None:
    objective = objective_of().eval()
    batch = batch_for(objective)
    batch = replace(batch, has_context=torch.zeros(BATCH, dtype=torch.bool))
    motion = batch.motion.clone()
    motion[:, :3] += 5  # the last context frame is the seam's, and stays
    same = terms_of(objective, replace(batch, motion=motion))
    torch.testing.assert_close(same["coefficients"], terms_of(objective, batch)["coefficients"])


def test_mesh_to_speech_learns_a_tiny_batch() -> None:
    fps = 30.0
    network = judge_of().requires_grad_()
    objective = M2SObjective(
        network,
        HEAD,
        M2SWeights(),
        FaceAugmentation(turn_rad=0, hidden=0),
        motion_scale=torch.full((NUM_FEATURES,), 0.1),
        num_speakers=1,
    ).train()
    batch = draw_windows([telling_clip(80, fps)], WindowShape(28, fps), 2, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    first = objective.eval()(batch, fps, 25)
    objective.train()
    for _ in range(150):
        optimiser.zero_grad()
        objective(batch, fps, 25)["loss"].backward()
        optimiser.step()
    last = objective.eval()(batch, fps, 25)
    assert last["loss"] < 0.6 * first["loss"]
    assert last["unit_accuracy"] > max(0.6, float(first["unit_accuracy"]))
    weights = M2SWeights()
    torch.testing.assert_close(
        last["loss"],
        weights.units * last["units"] + weights.mel * last["mel"] + weights.convergence * last["convergence"],
    )


def test_the_encoder_alone_is_taught_the_phones() -> None:
    objective = objective_of(weights=DiffusionWeights(0, 0, 0, 0, 0, 0, phones=1.0)).eval()
    batch = batch_for(objective)
    terms = terms_of(objective, batch)
    terms["loss"].backward()
    torch.testing.assert_close(terms["loss"], terms["phones"])
    learning = {name for name, weight in objective.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert learning
    assert all(name.startswith(("denoiser.speech_encoder", "denoiser.name_phones")) for name in learning)


def test_parts_of_the_speech_are_hidden_in_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusion_objective, "hide_parts", lambda log_mel, _: torch.full_like(log_mel, -3.0))
    hidden, shown = objective_of(hidden_share=0.5), objective_of()
    batch = batch_for(hidden)
    heard: list[torch.Tensor] = []
    for objective in (hidden, shown):
        objective.denoiser.speech_encoder.register_forward_pre_hook(lambda _, arguments: heard.append(arguments[0]))
    for seed in range(20):
        terms_of(hidden.train(), batch, seed)
    share = float((torch.cat(heard) == -3).all((1, 2)).float().mean())
    assert 0.3 < share < 0.7
    heard.clear()
    terms_of(hidden.eval(), batch)
    terms_of(shown.train(), batch)
    assert not (torch.cat(heard) == -3).all((1, 2)).any()


def test_frames_whose_phone_is_not_known_are_asked_nothing() -> None:
    scores = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [5.0, 0.0]], [[0.0, 0.0]] * 3])
    phones = torch.tensor([[0, 0, UNKNOWN], [UNKNOWN] * 3])
    named = phones_named(scores, phones)
    by_hand = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(3))) / 2
    torch.testing.assert_close(named["phones"], torch.tensor([by_hand, 0.0]))
    torch.testing.assert_close(named["phone_accuracy"], torch.tensor([0.5, 0.0]))
