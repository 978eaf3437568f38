"""Those who hear and read while a model learns: what they add, what reaches the motion, and who of them learns."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stages.artifacts.checkpoint import write_checkpoint
from stages.heads.arkit import ARKIT_FEATURES
from stages.heads.head import LinearHead, build_head
from stages.models.characters import encode
from stages.models.lip_reader import LipReader, LipReaderConfig, checkpoint_of
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from stages.training import guidance as guidance_module
from stages.training import loop
from stages.training.guidance import Guidance, GuidanceConfig, GuidanceWeights, load_guidance
from stages.training.lip_expert import LipExpert
from stages.training.spoken_words import Extracts
from stages.training.windows import WindowBatch, WindowShape, window_at
from tests.builders import small_head, small_motion
from tests.training.clips import clock_clip
from tests.training.test_objectives import judge_of

HEAD = build_head(small_head())
FPS, FRAMES, BATCH = 25.0, 24, 3


def reader_of(seed: int = 0) -> LipReader:
    torch.manual_seed(seed)
    config = LipReaderConfig(
        characters=" abm", form="light", channels=4, dim=16, num_layers=1, num_heads=2, kernel=3, decoder_layers=1,
        fusion_dim=32, dropout=0.0, max_frames=60,
    )  # fmt: skip
    return LipReader(config).eval().requires_grad_(False)


def expert_of(*, heard: bool = True, tuned: bool = False) -> LipExpert:
    assert isinstance(HEAD, LinearHead)
    return LipExpert(reader_of(), HEAD, heard=heard, tuned=tuned)


def motion(seed: int = 0) -> Tensor:
    return torch.stack([torch.from_numpy(small_motion(FRAMES, seed=seed + k)) for k in range(BATCH)])


def batch() -> WindowBatch:
    windows = [window_at(clock_clip(FRAMES + 8, FPS), k, WindowShape(FRAMES, FPS)) for k in range(BATCH)]
    columns = {name: torch.cat([getattr(window, name) for window in windows]) for name in vars(windows[0])}
    columns["units"] = columns["units"] % 6
    return WindowBatch(**columns)


def extracts(*windows: int, num_crops: int = 12) -> Extracts:
    some = len(windows)
    return Extracts(
        window=torch.tensor(windows),
        position=(torch.arange(num_crops).float() + 3).expand(some, -1),
        mask=torch.ones(some, num_crops, dtype=torch.bool),
        sound=torch.randn(some, 4 * num_crops, 80, generator=torch.Generator().manual_seed(1)),
        labels=torch.tensor([encode("a mab", " abm")]).expand(some, -1),
        num_labels=torch.full((some,), 5),
    )


def guided(
    guidance: Guidance, moved: Tensor, some: Extracts | None, asked: Tensor | None = None, seed: int = 0
) -> tuple[Tensor, dict[str, Tensor]]:
    asked = torch.ones(BATCH) if asked is None else asked
    added: tuple[Tensor, dict[str, Tensor]] = guidance(
        moved, motion(9), FPS, batch(), some, asked, torch.Generator().manual_seed(seed)
    )
    return added


def test_reading_reaches_the_motion_and_is_lowered_by_it() -> None:
    guidance = Guidance(
        HEAD, GuidanceWeights(lips_read=1.0, lips_ctc=1.0, lips_attention=0.0), expert=expert_of(heard=False)
    )
    moved = motion().requires_grad_()
    optimiser = torch.optim.Adam([moved], lr=0.05)
    losses = []
    for _ in range(12):
        total, terms = guided(guidance.eval(), moved, extracts(0, 2))
        assert total[1] == 0
        torch.testing.assert_close(total[[0, 2]], terms["lips_ctc"])
        losses.append(total.sum().item())
        optimiser.zero_grad()
        total.sum().backward()
        optimiser.step()
    assert moved.grad is not None
    assert (moved.grad[1] == 0).all()
    # Frames 3 to 14 are shown, by shapes alone: a turn of the head is not.
    shown = moved.grad[[0, 2]].abs().sum((0, 2)) > 0
    assert shown.tolist() == [3 <= t <= 14 for t in range(FRAMES)]
    turns = [ARKIT_FEATURES.index(name) for name in ARKIT_FEATURES[-3:]]
    assert (moved.grad[..., turns] == 0).all()
    assert losses[-1] < 0.97 * losses[0]


def test_hearing_and_reading_are_summed() -> None:
    moved, some = motion(), extracts(1)
    alone = [
        guided(guidance.eval(), moved, some)
        for guidance in (
            Guidance(HEAD, GuidanceWeights(), judge=judge_of()),
            Guidance(HEAD, GuidanceWeights(), expert=expert_of()),
        )
    ]
    total, terms = guided(Guidance(HEAD, GuidanceWeights(), judge=judge_of(), expert=expert_of()).eval(), moved, some)
    torch.testing.assert_close(total, alone[0][0] + alone[1][0])
    assert terms.keys() == {"audio_mel", "audio_units", "unit_accuracy", "lips_ctc", "lips_attention"}
    read = alone[1][1]
    torch.testing.assert_close(alone[1][0][1], 0.1 * (0.1 * read["lips_ctc"] + 0.9 * read["lips_attention"])[0])
    assert guided(Guidance(HEAD, GuidanceWeights(), expert=expert_of()).eval(), moved, None)[1] == {}
    silent = Guidance(HEAD, GuidanceWeights(lips_read=0.0), expert=expert_of())
    assert guided(silent.eval(), moved, some)[0].sum() == 0


def test_the_speech_is_heard_beside_the_lips_or_not() -> None:
    moved = motion()
    for heard in (True, False):
        guidance = Guidance(HEAD, GuidanceWeights(), expert=expert_of(heard=heard)).eval()
        first = guided(guidance, moved, extracts(0))[0]
        second = guided(guidance, moved, replace(extracts(0), sound=torch.zeros(1, 48, 80)))[0]
        assert bool((first == second).all()) != heard


def test_some_windows_stand_for_all_and_a_blur_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = motion()
    same = motion()[:1].expand(BATCH, -1, -1)
    weights = GuidanceWeights(lips_read=1.0)
    guidance = Guidance(HEAD, weights, expert=expert_of(heard=False), num_read=1)
    shares = torch.tensor([1.0, 0.5, 0.1])
    whole = guided(guidance.eval(), same, extracts(0, 1, 2), shares)[0]
    torch.testing.assert_close(whole, whole[0] * shares)  # all are read, the same, and weighted
    read: list[list[int]] = []
    real = LipExpert.judge
    monkeypatch.setattr(
        LipExpert, "judge", lambda self, m, some: (read.append(some.window.tolist()), real(self, m, some))[1]
    )
    for seed in range(12):
        total, _ = guided(guidance.train(), same, extracts(0, 1, 2), shares, seed)
        (window,) = read[-1]
        expected = torch.zeros(BATCH)
        expected[window] = 2 * whole[window]  # one of the two that are no blur, for both
        torch.testing.assert_close(total, expected)
    assert {row[0] for row in read} == {0, 1}
    read.clear()
    assert guided(guidance, moved, extracts(2), shares)[0].sum() == 0
    assert read == []


def test_a_frozen_reader_stays_as_it_is() -> None:
    guidance = Guidance(HEAD, GuidanceWeights(), expert=expert_of()).train()
    assert not list(guidance.parameters())
    assert guidance.expert is not None
    assert not guidance.expert.reader.training
    moved = motion().requires_grad_()
    guided(guidance, moved, extracts(0))[0].sum().backward()
    assert all(p.grad is None for p in guidance.expert.reader.parameters())


def test_a_tuned_reader_learns_from_true_faces_alone() -> None:
    guidance = Guidance(HEAD, GuidanceWeights(), expert=expert_of(tuned=True)).train()
    assert guidance.expert is not None
    reader = guidance.expert.reader
    assert {id(p) for p in guidance.parameters()} == {id(p) for p in reader.parameters()}

    def gradients(seed: int) -> tuple[Tensor, dict[str, Tensor]]:
        reader.zero_grad()
        moved = motion(seed).requires_grad_()
        total, terms = guided(guidance, moved, extracts(0))
        assert {"true_lips_ctc", "true_lips_attention"} < terms.keys()
        total.sum().backward()
        assert moved.grad is not None
        return moved.grad, {name: p.grad.clone() for name, p in reader.named_parameters() if p.grad is not None}

    (of_motion, of_reader), (of_other, of_reader_again) = gradients(0), gradients(5)
    assert (of_motion != of_other).any()
    assert (of_motion != 0).any()
    assert of_reader.keys() == dict(reader.named_parameters()).keys()
    for name, gradient in of_reader.items():
        torch.testing.assert_close(gradient, of_reader_again[name], msg=name)
    assert reader.training
    assert all(p.requires_grad for p in reader.parameters())
    assert "true_lips_ctc" not in guided(guidance.eval(), motion(), extracts(0))[1]


def test_what_is_forgotten_and_what_is_kept() -> None:
    expert = expert_of(tuned=True)
    expert.reader.mel_mean.fill_(3.0)
    before = {name: p.detach().clone() for name, p in expert.reader.named_parameters()}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    expert.forget(seed=1)
    assert torch.equal(torch.rand(1), expected)  # nobody else's dice
    assert (expert.reader.mel_mean == 3).all()
    changed = [name for name, p in expert.reader.named_parameters() if not torch.equal(p, before[name])]
    assert len(changed) > 0.5 * len(before)  # what begins as zeros and ones does so again
    again = expert_of(tuned=True)
    again.forget(seed=1)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), expert.parameters(), strict=True))


def test_a_reader_that_cannot_hear_is_refused(tmp_path: Path) -> None:
    deaf = LipReader(reader_of().config.model_copy(update={"streams": "picture"}))
    checkpoint = checkpoint_of(deaf, dict(deaf.named_parameters()), {})
    write_checkpoint(tmp_path / "deaf.h5", "thunder.lipreader", checkpoint, Provenance(seed=0), force=True)
    with pytest.raises(ThunderError, match=r"deaf.h5: reads picture alone; wanted a lip reader of both"):
        load_guidance(GuidanceConfig.resolve(), HEAD.record, torch.device("cpu"), lipreader=tmp_path / "deaf.h5")


def test_a_prior_is_tuned_at_a_tenth_of_the_pace() -> None:
    objective = torch.nn.Module()
    objective.animator = torch.nn.Linear(2, 2)
    objective.guidance = Guidance(HEAD, GuidanceWeights(), expert=expert_of(tuned=True))
    objective.last = torch.nn.Linear(2, 2, bias=False)
    for options, expected in (
        ({"tune_expert": True}, 0.1),
        ({"tune_expert": True, "forget_prior": True}, 1.0),
        ({"tune_expert": True, "expert_pace": 0.5}, 0.5),
    ):
        config = GuidanceConfig.resolve(options=options)
        groups = loop._groups(objective, config.pace)
        assert [p for group in groups for p in group["params"]] == list(objective.parameters())
        paces = {id(p): group["pace"] for group in groups for p in group["params"]}
        assert {paces[id(p)] for p in objective.guidance.parameters()} == {expected}
        assert {paces[id(p)] for part in (objective.animator, objective.last) for p in part.parameters()} == {1.0}


def test_mixed_precision_draws_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    real = guidance_module.LipExpert._draw

    def draw(self: LipExpert, vertices: Tensor) -> Tensor:
        crops = real(self, vertices)
        kinds.append((vertices.dtype, crops.dtype))
        return crops

    monkeypatch.setattr(LipExpert, "_draw", draw)
    guidance = Guidance(HEAD, GuidanceWeights(), expert=expert_of()).eval()
    plain = guided(guidance, motion(), extracts(0))[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = guided(guidance, motion(), extracts(0))[0]
    assert set(kinds) == {(torch.float32, torch.float32)}
    torch.testing.assert_close(mixed, plain, rtol=0.05, atol=0.01)
