"""Trains a mesh-to-speech model on a dataset."""

import math
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import ClipFile, open_clips
from stages.artifacts.files import check_output
from stages.audio.pretrained import PretrainedSpeech, load_pretrained
from stages.audio.speech_units import fit_units
from stages.heads.head import build_head
from stages.models.mesh_to_speech import (
    MelInput,
    MeshToSpeech,
    MeshToSpeechConfig,
    checkpoint_of,
    look_at,
    visible_size,
)
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs
from stages.training.blame import worst_clip
from stages.training.clips_in_memory import (
    TrainingClip,
    load_training_clips,
    motion_statistics,
    name_units,
    waveform_of,
)
from stages.training.face_augmentation import FaceAugmentation
from stages.training.interruption import check_state
from stages.training.loop import LoopConfig, TrainingSummary, mean_terms, summarise, train
from stages.training.m2s_objective import M2SObjective, M2SWeights
from stages.training.windows import WindowBatch, WindowShape, draw_voices, draw_windows, window_at

# Fitting units and statistics needs a fair share of frames, not all of them.
_MAX_FRAMES_FOR_STATISTICS = 20_000
_MAX_VALIDATION_CLIPS = 32


class TrainM2SConfig(LoopConfig):
    """Configuration of `train-m2s`; the defaults are the paper's sizes.

    Attributes:
        input: `mouth2s` (mouth vertices), `face2s` (all vertices) or `exp2s` (motion features).
        window_s: seconds of motion in a training window.
        num_units: K, how many classes of sound.
        voice_dim: width of the speaker embedding.
        *_weight: of the loss terms, see `M2SWeights`.
        noise, jitter, turn_rad, speed, hidden: what training windows suffer, see `FaceAugmentation`.
    """

    input: MelInput = "mouth2s"
    window_s: float = Field(4.0, ge=0.1, le=600)
    dim: int = Field(512, ge=1)
    num_layers: int = Field(12, ge=1)
    num_heads: int = Field(8, ge=1)
    kernel: int = Field(31, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    num_units: int = Field(200, ge=2)
    voice_dim: int = Field(256, ge=1)
    unit_weight: float = Field(1.0, ge=0)
    mel_weight: float = Field(10.0, ge=0)
    convergence_weight: float = Field(10.0, ge=0)
    speaker_weight: float = Field(0.2, ge=0)
    noise: float = Field(0.05, ge=0)
    jitter: float = Field(0.03, ge=0)
    turn_rad: float = Field(0.01, ge=0, lt=0.5)
    speed: float = Field(0.1, ge=0, le=0.5)
    hidden: float = Field(0.5, ge=0, le=1)

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"dim": 32, "num_layers": 1, "num_heads": 2, "kernel": 7, "num_units": 16, "voice_dim": 16, "steps": 60,
                 "batch_size": 4, "learning_rate": 2e-3, "warmup": 10, "validate_every": 30, "window_s": 2.0},
        "small": {"dim": 144, "num_layers": 4, "num_heads": 4, "kernel": 15, "num_units": 100, "voice_dim": 64,
                  "dropout": 0.0, "steps": 4000, "learning_rate": 1e-3},
        "paper": {"steps": 150_000, "batch_size": 32, "learning_rate": 1e-3, "warmup": 10_000, "precision": "bf16-mixed"},
    }  # fmt: skip


def train_m2s(
    dataset: Path,
    output: Path,
    config: TrainM2SConfig,
    *,
    hubert: Path | None = None,
    hubert_layer: int | None = None,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
) -> TrainingSummary:
    """Trains on the dataset's training split, watches its validation split, and writes `output`.

    Args:
        hubert: a `transformers` folder whose features the speech units are clusters of; None takes ours.
        hubert_layer: of its network, from 1; None is the sixth.

    Raises:
        ThunderError: a dataset without training clips, without speech or without the region asked for; a folder that
            cannot be read; an output that exists; a loss that is not a number.
    """
    state_path = output.with_suffix(".state.h5")
    if not resume:
        check_output(output, force=force, inputs=[dataset])
    check_state(state_path, resume=resume, force=force)
    chosen_device = resolve_device(device)
    encoder = None if hubert is None else load_pretrained(hubert, layer=hubert_layer, device=chosen_device)
    with open_clips(dataset, "thunder.dataset") as file:
        record = file.head
        size, indices = visible_size(record, config.input)
        clips, fps = load_training_clips(file, "train", progress)
        val_clips = load_training_clips(file, "val", progress)[0] if file.ids("val") else []
        torch.manual_seed(seed)
        network = _build_network(config, size, encoder)
        network.vertex_indices.copy_(indices)
        head = build_head(record)
        _fit_statistics(network, head, clips, file, seed)
        name_units(clips + val_clips, file, network, progress)
    weights = M2SWeights(config.unit_weight, config.mel_weight, config.convergence_weight, config.speaker_weight)
    augmentation = FaceAugmentation(config.noise, config.jitter, config.turn_rad, config.speed, config.hidden)
    subjects = sorted({clip.subject for clip in clips})
    objective = M2SObjective(
        network,
        head,
        weights,
        augmentation,
        motion_scale=motion_statistics(clips, smallest_scale=1e-6)[1],
        num_speakers=len(subjects),
    )
    num_frames = round(config.window_s * fps)
    shape = WindowShape(math.ceil(num_frames * (1 + config.speed)), fps)
    speakers = torch.tensor([subjects.index(clip.subject) for clip in clips])

    def draw(generator: torch.Generator) -> tuple[WindowBatch, torch.Tensor, torch.Tensor]:
        batch = draw_windows(clips, shape, config.batch_size, generator)
        voices = draw_voices(clips, batch.clip, generator)
        return batch.to(chosen_device), voices.to(chosen_device), speakers[batch.clip].to(chosen_device)

    def train_step(
        model: torch.nn.Module, drawn: tuple[WindowBatch, torch.Tensor, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        batch, voices, speaker = drawn
        return model(batch, fps, num_frames, voices, speaker)

    @torch.no_grad()
    def blame(model: torch.nn.Module, drawn: tuple[WindowBatch, torch.Tensor, torch.Tensor]) -> str:
        losses = [
            float(train_step(model, (drawn[0].item(k), drawn[1][k : k + 1], drawn[2][k : k + 1]))["loss"])
            for k in range(config.batch_size)
        ]
        return worst_clip([clips[k].id for k in drawn[0].clip.tolist()], losses)

    val_shape = WindowShape(num_frames, fps)

    def validate(model: torch.nn.Module) -> dict[str, float]:
        some = val_clips[:_MAX_VALIDATION_CLIPS]
        return mean_terms([model(window_at(c, 0, val_shape).to(chosen_device), fps, num_frames) for c in some])

    inputs = hash_inputs(dataset=dataset) | ({} if encoder is None else {"hubert": encoder.identity})
    trained = train(
        objective,
        config,
        draw,
        train_step,
        validate,
        blame=blame,
        inputs=inputs,
        device=chosen_device,
        seed=seed,
        state_path=state_path,
        resume=resume,
        progress=progress,
    )
    averaged = {
        name.removeprefix("network."): value for name, value in trained.weights.items() if name.startswith("network.")
    }
    provenance = Provenance(seed, config.model_dump(), inputs)
    checkpoint = checkpoint_of(network, averaged, record, trained.curves)
    write_checkpoint(output, "thunder.m2s", checkpoint, provenance, force=True)
    return summarise(trained, output, network, config, frames_per_step=config.batch_size * num_frames)


def _build_network(config: TrainM2SConfig, input_size: int, encoder: PretrainedSpeech | None) -> MeshToSpeech:
    """The network, knowing what its speech units are made of."""
    units: dict[str, Any] = {}
    if encoder is not None:
        units = {
            "unit_encoder": encoder.kind,
            "unit_layer": encoder.layer,
            "unit_features": encoder.dim,
            "unit_folder": encoder.identity,
        }
    network = MeshToSpeech(
        MeshToSpeechConfig(
            input=config.input,
            input_size=input_size,
            dim=config.dim,
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            kernel=config.kernel,
            dropout=config.dropout,
            num_units=config.num_units,
            voice_dim=config.voice_dim,
            **units,
        )
    )
    if encoder is not None:
        network.name_units_by(encoder)
    return network


@torch.no_grad()
def _fit_statistics(network: MeshToSpeech, head: Any, clips: list[TrainingClip], file: ClipFile, seed: int) -> None:
    """Means, deviations and unit centroids from the training clips."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(clips), generator=generator).tolist()
    motion, mels, features, frames = [], [], [], 0
    for index in order:
        clip = clips[index]
        motion.append(clip.motion)
        mels.append(clip.log_mel)
        features.append(network.unit_features_of(waveform_of(clip, file), clip.log_mel))
        frames += len(clip.log_mel)
        if frames > _MAX_FRAMES_FOR_STATISTICS:
            break
    stacked = torch.cat(features)
    if len(stacked) < network.config.num_units:
        raise ThunderError(
            f"{len(stacked) / 50:.1f} s of training speech cannot fill {network.config.num_units} speech units; "
            f"add clips or lower num_units"
        )
    network.centroids.copy_(fit_units(stacked, network.config.num_units, seed=seed))
    mel = torch.cat(mels)
    network.mel_mean.copy_(mel.mean(0))
    network.mel_scale.copy_(mel.std(0).clamp_min(0.1))
    visible = look_at(network, head, torch.cat(motion)[None, ::4])[0]
    deviation = visible.std(0, correction=0)
    network.input_mean.copy_(visible.mean(0))
    # Coordinates that hardly move are not magnified.
    network.input_scale.copy_(deviation.clamp_min(0.1 * deviation.max().clamp_min(1e-9)))
