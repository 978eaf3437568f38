"""CodeTalker's first stage: the autoencoder of motion, trained on motion alone, or taken from another model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.artifacts.checkpoint import read_checkpoint, read_training_state, write_training_state
from stages.artifacts.head_record import HeadRecord
from stages.heads.head import Head
from stages.losses.geometry import mean_absolute, mean_square
from stages.models.animators import resolve_animator
from stages.models.codetalker import CodeTalker, CodeTalkerConfig
from stages.models.motion_autoencoder import MotionAutoencoder
from stages.models.precision import full_precision
from stages.models.weights import arrays_of_weights, load_weights
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress
from stages.training.blame import worst_clip
from stages.training.clips_in_memory import TrainingClip
from stages.training.interruption import check_made
from stages.training.loop import LoopConfig, made_of, mean_terms, train
from stages.training.windows import END_SHARE, WindowBatch, WindowShape, draw_windows, windows_at_starts

_FIRST_WINDOWS = 32


class AutoencoderObjective(nn.Module):
    """Loss terms of a batch of windows; the autoencoder inside the animator is what is trained.

    The published objective is the mean absolute error of the vertices, here in units of `scale`, and the quantiser's;
    `weight_features` asks for the features by name, and is ours, as in `AnimatorObjective`.

    Args:
        vertices, scale, weight_features: as of `AnimatorObjective`.
    """

    vertices: Tensor

    def __init__(
        self, animator: CodeTalker, head: Head, *, vertices: Tensor, scale: float, weight_features: float
    ) -> None:
        super().__init__()
        self.autoencoder = animator.autoencoder
        # In a tuple, the rest of the animator is no part of what is trained, nor moved to a device with it.
        self._animator = (animator,)
        self.head = head
        self.scale = scale
        self.weight_features = weight_features
        self.register_buffer("vertices", vertices, persistent=False)

    @property
    def animator(self) -> CodeTalker:
        """The animator that the autoencoder is a part of."""
        return self._animator[0]

    def forward(self, batch: WindowBatch) -> dict[str, Tensor]:
        """Terms by name; `loss` is the one to minimise."""
        animator = self.animator
        truth = animator.normalise(batch.motion)
        estimate, terms = self.autoencoder(truth, batch.mask)
        with full_precision(truth.device):
            moved = self.head.vertices(animator.restore(estimate.float()), indices=self.vertices)
            true = self.head.vertices(batch.motion, indices=self.vertices)
            vertices = mean_absolute((moved - true) / self.scale, batch.mask).mean()
            features = mean_square(estimate.float() - truth, batch.mask).mean()
            loss = vertices + self.weight_features * features + terms["commitment"]
        return {"loss": loss, "vertices": vertices, "features": features} | terms


@dataclass(frozen=True)
class CodebookPaths:
    """Where the first stage is kept while a training goes on: its state, and its result until the second is done."""

    state: Path
    done: Path

    @classmethod
    def beside(cls, output: Path) -> "CodebookPaths":
        """Those of a training that writes `output`."""
        return cls(output.with_suffix(".codes.state.h5"), output.with_suffix(".codes.h5"))

    def check(self, *, resume: bool, force: bool) -> bool:
        """Refuses to start over silently; says whether there is something of this stage to go on with.

        Raises:
            ThunderError: the first stage of an interrupted training is there, and neither `resume` nor `force` is given.
        """
        found = [path for path in (self.state, self.done) if path.exists()]
        if found and not (resume or force):
            raise ThunderError(f"{found[0]}: an interrupted training is here; --resume goes on, --force starts over")
        if not resume:
            self.remove()
        return bool(found) and resume

    def remove(self) -> None:
        """Removes both."""
        self.state.unlink(missing_ok=True)
        self.done.unlink(missing_ok=True)


def learn_codebook(
    objective: AutoencoderObjective,
    config: LoopConfig,
    clips: list[TrainingClip],
    val_clips: list[TrainingClip],
    shape: WindowShape,
    paths: CodebookPaths,
    *,
    inputs: Mapping[str, str],
    device: torch.device,
    seed: int,
    resume: bool,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Trains the autoencoder, leaves it with its averaged weights and without a gradient, and returns its curves.

    Args:
        inputs: as of `train`.
        resume: take what was finished before, or go on where it was interrupted.

    Raises:
        ThunderError: as `train`; what was finished before is of another training.
    """
    autoencoder = objective.autoencoder
    objective.animator.to(device)
    made = made_of(config, seed, inputs)
    if resume and paths.done.exists():
        arrays, state = read_training_state(paths.done)
        check_made(paths.done, state.get("made", {}), made)
        curves = {name.removeprefix("curve."): v for name, v in arrays.items() if name.startswith("curve.")}
        load_weights(autoencoder, {n: v for n, v in arrays.items() if not n.startswith("curve.")}, paths.done)
    else:
        val_windows = [starts.to(device) for starts in windows_at_starts(val_clips, shape)]

        @torch.no_grad()
        def blame(model: nn.Module, batch: WindowBatch) -> str:
            losses = [float(model(batch.item(k))["loss"]) for k in range(config.batch_size)]
            return worst_clip([clips[k].id for k in batch.clip.tolist()], losses)

        trained = train(
            objective,
            config,
            lambda generator: draw_windows(clips, shape, config.batch_size, generator, end_share=END_SHARE).to(device),
            lambda model, batch: model(batch),
            lambda model: mean_terms([model(starts) for starts in val_windows], [len(s.clip) for s in val_windows]),
            blame=blame,
            inputs=inputs,
            device=device,
            seed=seed,
            state_path=paths.state,
            resume=resume and paths.state.exists(),
            progress=progress,
        )
        curves = trained.curves
        weights = {name.removeprefix("autoencoder."): value for name, value in trained.weights.items()}
        load_weights(autoencoder, arrays_of_weights(weights), paths.done)
        saved = arrays_of_weights(weights) | {f"curve.{name}": points for name, points in curves.items()}
        write_training_state(paths.done, saved, {"step": config.steps, "made": made})
    autoencoder.requires_grad_(False)
    return {f"codes.{name}": points for name, points in curves.items()}


class FirstStage(nn.Module):
    """What a CodeTalker learned of motion alone: its autoencoder, and the statistics by which motion is normalised for it."""

    motion_mean: Tensor
    motion_scale: Tensor

    def __init__(self, config: CodeTalkerConfig) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = MotionAutoencoder(config.autoencoder_sizes)
        self.register_buffer("motion_mean", torch.zeros(config.num_features))
        self.register_buffer("motion_scale", torch.ones(config.num_features))

    @property
    def sizes(self) -> dict[str, Any]:
        """Those of the autoencoder, for a configuration."""
        names = {name for name in CodeTalkerConfig.model_fields if name.startswith("autoencoder_")}
        return self.config.model_dump(
            include=names | {"num_codes", "code_dim", "codes_per_frame", "project_codes", "decoded_frames"}
        )

    def give(self, network: CodeTalker) -> None:
        """Puts itself in the place of a network's own, to learn no more.

        Raises:
            ThunderError: the network's motion has another frame rate.
        """
        wanted, found = network.config.fps, self.config.fps
        if wanted != found:
            raise ThunderError(
                f"--autoencoder-from wants motion at {wanted:g} fps, found a model of {found:g} fps; give one of that rate"
            )
        network.autoencoder.load_state_dict(self.autoencoder.state_dict())
        network.autoencoder.requires_grad_(False)
        network.motion_mean.copy_(self.motion_mean)
        network.motion_scale.copy_(self.motion_scale)


def load_first_stage(path: Path, head: HeadRecord) -> FirstStage:
    """The first stage of a CodeTalker, which no speech has a part in: whoever it hears by is not asked for.

    Args:
        head: on which the motion to be learned plays.

    Raises:
        ThunderError: another architecture, or motion of another head.
    """
    checkpoint = read_checkpoint(path, "thunder.animator")
    config = resolve_animator(str(checkpoint.config.get("animator")), checkpoint.config, str(path))
    if not isinstance(config, CodeTalkerConfig):
        raise ThunderError(f"{path}: --autoencoder-from wants a codetalker, found a {config.animator}")
    own = checkpoint.required_head
    if own.motion_fingerprint != head.motion_fingerprint:
        raise ThunderError(
            f"{path}: --autoencoder-from wants motion of head {head.name} ({head.motion_fingerprint}), found that of "
            f"{own.name} ({own.motion_fingerprint}); give a model of the same head"
        )
    stage = FirstStage(config)
    arrays = checkpoint.weights | checkpoint.normalisation
    load_weights(stage, {n: v for n, v in arrays.items() if n.startswith(("autoencoder.", "motion_"))}, path)
    return stage


@torch.no_grad()
def draw_codebook(
    objective: AutoencoderObjective, clips: list[TrainingClip], shape: WindowShape, generator: torch.Generator
) -> None:
    """Draws the codebook from what the untrained encoder says of some windows, so that every code is near something.

    Published is a uniform draw about zero, of which few codes come into use where a training is short.
    """
    animator, autoencoder = objective.animator, objective.autoencoder
    batch = draw_windows(clips, shape, _FIRST_WINDOWS, generator)
    features = autoencoder.encode(animator.normalise(batch.motion), batch.mask)
    autoencoder.codebook_from(features[batch.mask > 0], generator)
