"""The loop: it learns, averages, goes on after an interruption as if there had been none, and stops at nonsense."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stages.artifacts.checkpoint import read_training_state
from stages.runtime.errors import ThunderError
from stages.training import loop
from stages.training.blame import worst_clip
from stages.training.interruption import check_state
from stages.training.loop import LoopConfig, Trained, mean_terms, summarise, train

CONFIG = LoopConfig(steps=40, learning_rate=0.02, warmup=5, validate_every=10, ema_decay=0.9, weight_decay=0.0)


class Line(nn.Module):
    """y = 2 x - 1, to be found, with dropout so that the global generator has a part in it."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Dropout(0.1), nn.Linear(width, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        error = (self.layers(x) - (2 * x - 1)).square().mean()
        return {"loss": error, "root": error.sqrt()}


def draw(generator: torch.Generator) -> Tensor:
    return torch.rand(32, 1, generator=generator)


def step(model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
    return model(batch)


def look(model: nn.Module) -> dict[str, float]:
    assert not model.training
    assert not torch.is_grad_enabled()
    return {"loss": model(torch.linspace(0, 1, 20)[:, None])["loss"].item()}


def run(path: Path, model: nn.Module | None = None, config: LoopConfig = CONFIG, **changes: Any) -> Trained:
    options: dict[str, Any] = {"device": torch.device("cpu"), "seed": 3, "state_path": path, "resume": False}
    train_step, validate = changes.pop("train_step", step), changes.pop("validate", look)
    return train(model or Line(), config, changes.pop("draw", draw), train_step, validate, **(options | changes))


@pytest.fixture
def state_path(tmp_path: Path) -> Path:
    return tmp_path / "model.state.h5"


@pytest.fixture
def saving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step saves its state."""
    clock = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))


def test_the_loss_falls_and_curves_tell_it(state_path: Path) -> None:
    model = Line()
    trained = run(state_path, model, LoopConfig(**{**CONFIG.model_dump(), "steps": 200}))
    losses = trained.curves["val.loss"]
    assert losses[:, 0].tolist() == [9, 19, *range(29, 200, 10)]
    assert losses[-1, 1] < 0.1 * losses[0, 1]
    assert trained.curves["train.loss"][:, 0].tolist() == [*range(0, 200, 20), 199]
    assert set(trained.curves) == {"train.loss", "train.root", "val.loss"}
    assert not state_path.exists()
    summary = summarise(trained, Path("out.h5"), model, CONFIG)
    assert summary.figures == {"val.loss": losses[-1, 1]}
    assert summary.parameters == 25


def test_weights_are_averages_and_validation_sees_them(state_path: Path) -> None:
    model, seen = Line(), []

    def watched(wrapped: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        seen.append({n: p.detach().clone() for n, p in model.named_parameters()})
        return step(wrapped, batch)

    trained = run(state_path, model, train_step=watched)
    after = [*seen[1:], {n: p.detach() for n, p in model.named_parameters()}]
    for name, average in seen[0].items():
        expected = average
        for number, weights in enumerate(after):
            decay = min(0.9, (1 + number) / (10 + number))
            expected = decay * expected + (1 - decay) * weights[name]
        torch.testing.assert_close(trained.weights[name], expected, atol=1e-6, rtol=1e-5)
    assert model.training
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(trained.weights[name])
        assert look(model.eval())["loss"] == pytest.approx(trained.curves["val.loss"][-1, 1])


def test_the_same_seed_learns_the_same(state_path: Path) -> None:
    first, second, other = run(state_path), run(state_path), run(state_path, seed=4)
    for name, value in first.weights.items():
        assert torch.equal(value, second.weights[name])
    assert any(not torch.equal(value, other.weights[name]) for name, value in first.weights.items())


@pytest.mark.parametrize("stopped_at", [1, 30])
@pytest.mark.usefixtures("saving")
def test_resuming_ends_where_no_interruption_would_have(state_path: Path, stopped_at: int) -> None:
    whole = run(state_path)

    def interrupted(number: Iterator[int]) -> Any:
        def stop(model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
            if next(number) == stopped_at:
                raise KeyboardInterrupt
            return step(model, batch)

        return stop

    with pytest.raises(KeyboardInterrupt):
        run(state_path, train_step=interrupted(iter(range(100))))
    assert read_training_state(state_path)[1]["step"] == stopped_at
    torch.rand(7)  # what happened in between does not matter
    resumed = run(state_path, resume=True)
    for name, value in whole.weights.items():
        assert torch.equal(value, resumed.weights[name]), name
    for name, points in whole.curves.items():
        assert points.tolist() == resumed.curves[name].tolist()
    assert not state_path.exists()


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.usefixtures("saving")
def test_nonsense_stops_and_keeps_the_state_before_it(state_path: Path, what: str) -> None:
    model, number = Line(), iter(range(100))

    def spoiled(wrapped: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        terms = step(wrapped, batch)
        if next(number) == 12:
            zero = terms["loss"] - terms["loss"].detach()
            # The root has the value 0 and an infinite slope.
            terms["loss"] = terms["loss"] * torch.nan if what == "loss" else terms["loss"] + (zero * 1).sqrt()
        return terms

    with pytest.raises(ThunderError, match=r"at step 12; lower --learning-rate, .* go on with --resume"):
        run(state_path, model, train_step=spoiled)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    arrays, state = read_training_state(state_path)
    assert state["step"] == 12
    assert torch.isfinite(torch.from_numpy(arrays["model.layers.0.weight"])).all()
    assert torch.isfinite(run(state_path, resume=True).weights["layers.0.weight"]).all()


def test_the_clip_to_blame_is_one_that_is_no_number_unless_all_are() -> None:
    nan, inf = float("nan"), float("inf")
    assert worst_clip(["a", "b", "c"], [1.0, 3.0, 2.0]) == "b"
    assert worst_clip(["a", "b", "c"], [9.0, 3.0, nan]) == "c"
    assert worst_clip(["a", "b", "c"], [9.0, inf, 3.0]) == "b"
    assert worst_clip(["a", "b", "a"], [nan, inf, nan]) == "a, b, all of the batch"
    assert worst_clip(list("abcde"), [nan] * 5) == "a, b, c and 2 more, all of the batch"


def test_terms_are_means_over_the_clips_that_have_them() -> None:
    rows = [{"loss": torch.tensor(1.0)}, {"loss": torch.tensor(4.0), "read": torch.tensor(7.0)}]
    assert mean_terms(rows) == {"loss": 2.5, "read": 7.0}
    assert mean_terms(rows, [1, 2]) == {"loss": 3.0, "read": 7.0}
    assert mean_terms([]) == {}


def test_without_a_state_nobody_is_told_to_resume(state_path: Path) -> None:
    def spoiled(wrapped: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": step(wrapped, batch)["loss"] * torch.inf}

    with pytest.raises(ThunderError, match=r"the loss became inf .* at step 0; lower --learning-rate$"):
        run(state_path, train_step=spoiled)


@pytest.mark.usefixtures("saving")
def test_the_state_of_another_network_is_refused(state_path: Path) -> None:
    def stop(wrapped: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        if state_path.exists():
            raise KeyboardInterrupt
        return step(wrapped, batch)

    with pytest.raises(KeyboardInterrupt):
        run(state_path, train_step=stop)
    with pytest.raises(ThunderError, match="of another network; --force starts over"):
        run(state_path, Line(width=9), resume=True)


@pytest.mark.usefixtures("saving")
def test_what_a_batch_is_normalised_by_goes_on_and_is_averaged(state_path: Path) -> None:
    class Normalised(Line):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.layers.insert(1, nn.BatchNorm1d(8))
            self.register_buffer("constant", torch.tensor([0.1, 0.7]))
            self.unused = nn.Parameter(torch.ones(2))

    whole, seen = Normalised(), []

    def watched(model: nn.Module) -> dict[str, float]:
        seen.append(model.get_buffer("layers.1.running_mean").clone())
        return {}

    expected = run(state_path, whole, validate=watched)
    assert not any("running" in name for name in expected.weights)
    assert int(whole.get_buffer("layers.1.num_batches_tracked")) == CONFIG.steps
    assert torch.equal(whole.get_buffer("constant"), torch.tensor([0.1, 0.7]))
    # What validation saw last is what the model is left with.
    assert torch.equal(seen[-1], whole.get_buffer("layers.1.running_mean"))
    count = iter(range(100))

    def stop(wrapped: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        if next(count) == CONFIG.steps // 2:
            raise KeyboardInterrupt
        return step(wrapped, batch)

    resumed = Normalised()
    with pytest.raises(KeyboardInterrupt):
        run(state_path, Normalised(), train_step=stop)
    again = run(state_path, resumed, resume=True)
    for name, value in expected.weights.items():
        assert torch.equal(value, again.weights[name]), name
    for (name, buffer), other in zip(whole.named_buffers(), resumed.buffers(), strict=True):
        assert torch.equal(buffer, other), name


@pytest.mark.usefixtures("saving")
def test_another_training_does_not_go_on_where_one_was_interrupted(state_path: Path) -> None:
    def stop(wrapped: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        if state_path.exists():
            raise KeyboardInterrupt
        return step(wrapped, batch)

    given = {"dataset": "ab" * 32}
    with pytest.raises(KeyboardInterrupt):
        run(state_path, train_step=stop, inputs=given)
    other = LoopConfig(**{**CONFIG.model_dump(), "batch_size": 3})
    with pytest.raises(
        ThunderError, match=r"had batch_size \d+, this one has 3; give what it had, or --force starts over"
    ):
        run(state_path, None, other, inputs=given, resume=True)
    with pytest.raises(
        ThunderError, match=r"state.h5: the interrupted training had dataset abababababab, this one has cd"
    ):
        run(state_path, inputs={"dataset": "cd" * 32}, resume=True)
    with pytest.raises(ThunderError, match=r"had encoder_from None, this one has efefefefefef; give what it had"):
        run(state_path, inputs=given | {"encoder_from": "ef" * 32}, resume=True)
    with pytest.raises(ThunderError, match="had seed 3, this one has 4"):
        run(state_path, inputs=given, seed=4, resume=True)
    rarely = LoopConfig(**{**CONFIG.model_dump(), "save_every_s": 7.0})
    assert run(state_path, None, rarely, inputs=given, resume=True).steps_run == CONFIG.steps - 1


def test_mixed_precision_leaves_inputs_alone(state_path: Path) -> None:
    def exact(wrapped: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        terms = step(wrapped, batch)
        assert terms["loss"].dtype == torch.float32
        return terms

    class Picky(Line):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            assert x.dtype == torch.float32
            return super().forward(x)

    config = LoopConfig(**{**CONFIG.model_dump(), "steps": 3, "precision": "bf16-mixed"})
    assert torch.isfinite(run(state_path, Picky(), config, train_step=exact).weights["layers.0.weight"]).all()


def test_the_rate_rises_then_falls_to_nothing() -> None:
    config = LoopConfig(**{**CONFIG.model_dump(), "steps": 100, "warmup": 5})
    rates = [loop._schedule(n, config) for n in range(101)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5] == 1
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-9)


def test_a_short_training_warms_up_for_a_tenth_of_it() -> None:
    config = LoopConfig(**{**CONFIG.model_dump(), "steps": 50, "warmup": 1000})
    rates = [loop._schedule(n, config) for n in range(50)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_an_interrupted_training_is_neither_lost_nor_imagined(state_path: Path) -> None:
    check_state(state_path, resume=False, force=False)
    with pytest.raises(ThunderError, match="no interrupted training to go on with"):
        check_state(state_path, resume=True, force=False)
    state_path.touch()
    check_state(state_path, resume=True, force=False)
    check_state(state_path, resume=False, force=True)
    with pytest.raises(ThunderError, match="--resume goes on, --force starts over"):
        check_state(state_path, resume=False, force=False)


def test_starting_over_leaves_nothing_of_before_to_go_on_with(state_path: Path) -> None:
    def stop(wrapped: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        raise KeyboardInterrupt

    state_path.touch()
    with pytest.raises(KeyboardInterrupt):
        run(state_path, train_step=stop)
    assert not state_path.exists()


@pytest.mark.parametrize(("key", "value"), [("steps", 0), ("batch_size", 0), ("learning_rate", -1.0)])
def test_impossible_numbers_are_refused(key: str, value: float) -> None:
    with pytest.raises(ThunderError, match=f"--{key.replace('_', '-')} wanted"):
        LoopConfig.resolve(options={key: value})
