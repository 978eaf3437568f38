"""The training loop: optimiser, schedule, averaged weights, validation, curves, and going on after an interruption.

A stage gives it a model and three functions, which draw a batch, find its loss, and validate, and gets averaged weights and
curves back. The next batch is drawn beside the step, so that no step waits for data. lightning.fabric supplies devices and
precision. One process trains: batches and files are not shared out.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from pydantic import Field
from torch import Tensor, nn

from stages.runtime.config import Config
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.training.interruption import TrainingState, restore_state, save_state

# Loss terms by name, and the sum that is minimised under "loss".
Terms = dict[str, Tensor]
Batch = TypeVar("Batch")


class LoopConfig(Config):
    """How to train, whatever the model.

    Attributes:
        steps: number of optimiser steps.
        learning_rate: its peak, after `warmup` steps or a tenth of all; a cosine takes it to 0 at the last step.
        ema_decay: of the averaged weights, which are the ones that are kept.
        validate_every: steps between two looks at the validation clips.
        save_every_s: seconds between two saves of the state that --resume goes on from.
        precision: `32-true`, or `bf16-mixed` where the device is faster in it.
        half_weights: keep the result in half precision, for a file of half the size.
    """

    steps: int = Field(10_000, ge=1)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup: int = Field(200, ge=0)
    gradient_clip: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    validate_every: int = Field(500, ge=1)
    save_every_s: float = Field(120.0, ge=0)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    half_weights: bool = False


@dataclass(frozen=True)
class Trained:
    """What a training leaves: the averaged weights, curves name -> (n, 2) of (step, value), how long it took, the
    share of that time in which a step waited for its batch, and how many steps it was (fewer after an interruption)."""

    weights: dict[str, Tensor]
    curves: dict[str, np.ndarray]
    seconds: float
    waiting_share: float
    steps_run: int


def train(
    model: nn.Module,
    config: LoopConfig,
    draw: Callable[[torch.Generator], Batch],
    train_step: Callable[[nn.Module, Batch], Terms],
    validate: Callable[[nn.Module], dict[str, float]],
    *,
    blame: Callable[[nn.Module, Batch], str] | None = None,
    inputs: Mapping[str, str] | None = None,
    pace: Callable[[str], float] = lambda name: 1.0,
    device: torch.device,
    seed: int,
    state_path: Path,
    resume: bool,
    progress: Progress = silent,
) -> Trained:
    """Trains `model` in place, and leaves it with averages of those buffers that training changes, as batch norm's are.

    Args:
        draw: a batch, by the generator alone; it runs in another thread than the steps.
        train_step: loss terms of a batch; `loss` is minimised.
        validate: figures of the model with averaged weights, for the curves.
        blame: says which clip of a batch made the loss what is not a number; see `worst_clip`.
        inputs: name -> SHA-256 of what it is trained on; with the configuration and the seed, what --resume insists on.
        pace: by which a parameter's learning rate differs from the configured one, from its name.
        state_path: where the state of an interrupted training is; removed when the training is complete.
        resume: go on from that state.

    Raises:
        ThunderError: the loss or its gradient is not a number; the last good state is kept for --resume. That state is of
            another training.
    """
    fabric = Fabric(
        accelerator=device.type,
        devices=1 if device.index is None else [device.index],
        plugins=_MixedInside(config.precision, device.type) if config.precision == "bf16-mixed" else None,
    )
    fabric.launch()
    optimiser = torch.optim.AdamW(
        _groups(model, pace), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
    )
    wrapped, wrapped_optimiser = fabric.setup(model, optimiser)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    averaged = {name: value.detach().clone() for name, value in _averageable(model).items()}
    curves: dict[str, list[tuple[float, float]]] = {}
    state = TrainingState(model, optimiser, averaged, curves, generator, made_of(config, seed, inputs or {}))
    first_step = 0
    if resume:
        first_step = restore_state(state_path, state)
    else:
        state_path.unlink(missing_ok=True)
    began = last_save = time.monotonic()
    waited = 0.0
    model.train()
    with progress("training", total=config.steps) as advance, _Ahead(draw, generator) as batches:
        advance(first_step)
        for step in range(first_step, config.steps):
            for group in optimiser.param_groups:
                group["lr"] = group["pace"] * config.learning_rate * _schedule(step, config)
            asked = time.monotonic()
            batch = batches.take()
            waited += time.monotonic() - asked
            terms = train_step(wrapped, batch)
            wrapped_optimiser.zero_grad()
            fabric.backward(terms["loss"])
            norm: Any = fabric.clip_gradients(
                wrapped, wrapped_optimiser, max_norm=config.gradient_clip, error_if_nonfinite=False
            )
            # Before the step, so that no weight and no saved state ever becomes what is not a number.
            if not torch.isfinite(terms["loss"].detach() + norm):
                raise ThunderError(
                    f"the loss became {terms['loss'].item()} and its gradient {norm.item()} at step {step}"
                    + (f", in clip {blame(wrapped, batch)}" if blame is not None else "")
                    + "; lower --learning-rate"
                    + (", the state before it is kept, go on with --resume" if state_path.exists() else "")
                )
            wrapped_optimiser.step()
            _average(averaged, model, min(config.ema_decay, (1 + step) / (10 + step)))
            if step % 20 == 0 or step == config.steps - 1:
                _record(curves, step, {f"train.{k}": v.item() for k, v in terms.items()})
            if (step + 1) % config.validate_every == 0 or step == config.steps - 1:
                figures = _with_weights(model, averaged, validate)
                _record(curves, step, {f"val.{k}": v for k, v in figures.items()})
            if fabric.is_global_zero and time.monotonic() - last_save > config.save_every_s:
                save_state(state_path, step + 1, state, batches.generator_state)
                last_save = time.monotonic()
            advance(1, loss=curves["train.loss"][-1][1])
    state_path.unlink(missing_ok=True)
    arrays = {name: np.array(points, "f8") for name, points in curves.items()}
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name in averaged:
                buffer.copy_(averaged.pop(name))
    if config.half_weights:
        averaged = {name: value.half() for name, value in averaged.items()}
    seconds = time.monotonic() - began
    return Trained(averaged, arrays, seconds, waited / max(seconds, 1e-9), config.steps - first_step)


def made_of(config: LoopConfig, seed: int, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What a training is made of, without what may differ and leave its result the same."""
    return {"seed": seed, **config.model_dump(mode="json", exclude={"save_every_s"}), **inputs}


def mean_terms(rows: Sequence[Terms], sizes: Sequence[int] | None = None) -> dict[str, float]:
    """The mean of each term over the validation clips that have it; nothing where there are none.

    Args:
        sizes: of how many clips each row is the mean; one where None.
    """
    sizes = [1] * len(rows) if sizes is None else sizes
    each = [row for row, size in zip(rows, sizes, strict=True) for _ in range(size)]
    names = dict.fromkeys(name for row in each for name in row)
    return {name: torch.stack([row[name] for row in each if name in row]).mean().item() for name in names}


@dataclass(frozen=True)
class TrainingSummary:
    """What a training made: `figures` are its last ones on the validation clips; see `Trained` for `waiting_share`.

    `frames_per_s` counts motion frames, or 0 where batches hold something else; validation and saving are part of the time.
    `left_out` is reason -> ids of the training and validation clips that could not be used.
    """

    output: Path
    parameters: int
    steps: int
    seconds: float
    waiting_share: float
    frames_per_s: float
    figures: dict[str, float]
    left_out: dict[str, list[str]]


def summarise(
    trained: Trained,
    output: Path,
    network: nn.Module,
    config: LoopConfig,
    *,
    frames_per_step: int = 0,
    left_out: dict[str, list[str]] | None = None,
) -> TrainingSummary:
    """What to tell of a finished training."""
    figures = {name: float(points[-1, 1]) for name, points in trained.curves.items() if name.startswith("val.")}
    return TrainingSummary(
        output,
        sum(p.numel() for p in network.parameters()),
        config.steps,
        trained.seconds,
        trained.waiting_share,
        trained.steps_run * frames_per_step / max(trained.seconds, 1e-9),
        figures,
        left_out or {},
    )


class _MixedInside(MixedPrecision):
    """Mixed precision inside the model only: sound, motion and times enter it as they are."""

    def convert_input(self, data: Any) -> Any:
        """Leaves inputs alone, which Fabric would round to 8 bits."""
        return data


class _Ahead(Generic[Batch]):
    """Batches drawn one ahead, in a thread of their own."""

    def __init__(self, draw: Callable[[torch.Generator], Batch], generator: torch.Generator) -> None:
        self._draw, self._generator = draw, generator
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> "_Ahead[Batch]":
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def take(self) -> Batch:
        """The next batch; the one after it is begun."""
        batch = self._pending.result()
        self._begin()
        return batch

    def _begin(self) -> None:
        # What the generator was before the batch that is not used yet: an interrupted training goes on from there.
        self.generator_state = self._generator.get_state()
        self._pending = self._thread.submit(self._draw, self._generator)


def _groups(model: nn.Module, pace: Callable[[str], float]) -> list[dict[str, Any]]:
    """Parameters that learn, in the order of the model, those of one pace that follow each other in a group."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return [
        {"params": [p for _, p in some], "pace": factor}
        for factor, some in groupby(learning, key=lambda item: pace(item[0]))
    ]


def _schedule(step: int, config: LoopConfig) -> float:
    warmup = min(config.warmup, config.steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, config.steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * share))


def _averageable(model: nn.Module) -> dict[str, Tensor]:
    """All parameters, and the buffers that hold measures, not counts: one that does not change is its own average."""
    measures = {name: buffer for name, buffer in model.named_buffers() if buffer.is_floating_point()}
    return dict(model.named_parameters()) | measures


@torch.no_grad()
def _average(averaged: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    names = list(averaged)
    current = _averageable(model)
    torch._foreach_lerp_([averaged[n] for n in names], [current[n].detach() for n in names], 1 - decay)


@torch.no_grad()
def _with_weights(
    model: nn.Module, weights: dict[str, Tensor], function: Callable[[nn.Module], dict[str, float]]
) -> dict[str, float]:
    """Runs `function` on the model with other weights and measures, then puts its own back."""
    load = _averageable(model)
    own = {name: value.detach().clone() for name, value in load.items()}
    for name, value in weights.items():
        load[name].copy_(value)
    model.eval()
    try:
        return function(model)
    finally:
        model.train()
        for name, value in own.items():
            load[name].copy_(value)


def _record(curves: dict[str, list[tuple[float, float]]], step: int, values: dict[str, float]) -> None:
    for name, value in values.items():
        curves.setdefault(name, []).append((step, value))
