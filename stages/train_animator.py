"""Trains a deterministic animator, FaceFormer, on a dataset."""

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import open_clips
from stages.artifacts.files import check_output
from stages.audio.pretrained import PretrainedSpeech, load_pretrained, num_layers_of
from stages.heads.head import Head, build_head
from stages.models.faceformer import FaceFormer, FaceFormerConfig, checkpoint_of
from stages.models.speech_encoder import FolderEncoder, SpeechEncoder
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs
from stages.training.animator_objective import AnimatorObjective
from stages.training.clips_in_memory import TrainingClip, load_training_clips, motion_statistics, read_sounds
from stages.training.loop import LoopConfig, TrainingSummary, check_state, mean_terms, summarise, train
from stages.training.windows import WindowBatch, WindowShape, draw_windows, window_at

_MAX_VALIDATION_CLIPS = 32
# Share of windows that may reach beyond their clip: sentences that are hardly longer than one window would otherwise be
# learned at their beginning alone.
_END_SHARE = 0.25
# A feature is scaled by its own deviation but never magnified beyond this one.
_SMALLEST_SCALE = 0.01
_CLIPS_FOR_STATISTICS = 50


class TrainAnimatorConfig(LoopConfig):
    """Configuration of `train-animator`; the defaults are FaceFormer's sizes for VOCASET.

    Attributes:
        window: frames at a time; published are whole sentences.
        period: frames after which positions repeat; None is a second, as published.
        encoder_*: sizes of our own speech encoder; `encoder_dim` is also what the features of a folder are brought to.
        freeze_encoder: leave the speech encoder of a folder as it is; published is training all but its convolutions.
        num_vertices: that the loss compares, drawn once from all; None compares all, as published.
        weight_features, teacher_forcing, drop_subject: see `AnimatorObjective`; published are 0, no, and 0.
    """

    learning_rate: float = Field(1e-4, gt=0)
    window: int = Field(150, ge=2, le=10_000)
    dim: int = Field(64, ge=2)
    num_layers: int = Field(1, ge=1)
    num_heads: int = Field(4, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    period: int | None = Field(None, ge=1)
    encoder_dim: int = Field(512, ge=1)
    encoder_layers: int = Field(8, ge=1)
    encoder_kernel: int = Field(11, ge=1)
    freeze_encoder: bool = False
    num_vertices: int | None = Field(None, ge=1)
    weight_features: float = Field(0.0, ge=0)
    teacher_forcing: bool = False
    drop_subject: float = Field(0.0, ge=0, le=1)

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"dim": 16, "num_heads": 2, "encoder_dim": 32, "encoder_layers": 1, "encoder_kernel": 5, "dropout": 0.0,
                 "window": 30, "steps": 60, "batch_size": 4, "learning_rate": 5e-3, "warmup": 10, "validate_every": 30,
                 "weight_features": 0.1, "drop_subject": 0.1},
        "small": {"dim": 128, "encoder_dim": 128, "encoder_layers": 5, "encoder_kernel": 9, "window": 100, "batch_size": 8,
                  "steps": 6000, "learning_rate": 1e-3, "num_vertices": 800, "weight_features": 0.1, "drop_subject": 0.1},
        "paper": {"batch_size": 1, "steps": 32_000, "weight_decay": 0.0},
    }  # fmt: skip

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.dim % self.num_heads or self.dim % 2:
            raise ValueError(f"dim wanted an even multiple of num_heads ({self.num_heads})")
        return self


def train_animator(
    dataset: Path,
    output: Path,
    config: TrainAnimatorConfig,
    *,
    speech_encoder: Path | None = None,
    speech_encoder_layer: int | None = None,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
) -> TrainingSummary:
    """Trains on the dataset's training split, watches its validation split, and writes `output`.

    Args:
        speech_encoder: a `transformers` folder of wav2vec 2.0, HuBERT or WavLM to hear speech by; None uses our encoder.
        speech_encoder_layer: of that folder, from 1; None is the last, as published.

    Raises:
        ThunderError: a dataset that cannot be trained on; an output that exists; a loss that is not a number.
    """
    state_path = output.with_suffix(".state.h5")
    if config.freeze_encoder and speech_encoder is None:
        raise ThunderError("--freeze-encoder wants an encoder that has learned; give --speech-encoder")
    if not resume:
        check_output(output, force=force, inputs=[dataset])
    check_state(state_path, resume=resume, force=force)
    chosen_device = resolve_device(device)
    folder = None
    if speech_encoder is not None:
        layer = speech_encoder_layer or num_layers_of(speech_encoder, option="--speech-encoder")
        folder = load_pretrained(speech_encoder, layer=layer, device=chosen_device, option="--speech-encoder")
    with open_clips(dataset, "thunder.dataset") as file:
        record = file.head
        clips, fps = load_training_clips(file, "train", progress)
        val_clips = load_training_clips(file, "val", progress)[0] if file.ids("val") else []
        torch.manual_seed(seed)
        network = _build_network(config, clips, fps, folder)
        encoder = network.speech_encoder
        if isinstance(encoder, FolderEncoder):
            read_sounds(clips + val_clips, file, encoder, progress)
    head = build_head(record)
    vertices = torch.randperm(len(record.template))[: config.num_vertices].sort().values
    objective = AnimatorObjective(
        network,
        head,
        vertices=vertices,
        scale=_spread(head, clips, vertices),
        weight_features=config.weight_features,
        teacher_forcing=config.teacher_forcing,
        drop_subject=config.drop_subject,
    )
    assert isinstance(encoder, SpeechEncoder | FolderEncoder), "a published encoder is imported, not trained"
    shape = WindowShape(
        config.window, fps, mel_margin=network.speech_margin, sound_hz=encoder.rate_hz, silence=encoder.silence
    )
    numbers = {name: index for index, name in enumerate(network.config.subjects, start=1)}
    subject = torch.tensor([numbers[clip.subject] for clip in clips])
    val_subject = torch.tensor([numbers.get(clip.subject, 0) for clip in val_clips])

    def draw(generator: torch.Generator) -> tuple[WindowBatch, Tensor, torch.Generator]:
        batch = draw_windows(clips, shape, config.batch_size, generator, end_share=_END_SHARE)
        # The step has dice of its own: the next batch is drawn beside it.
        dice = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return batch.to(chosen_device), subject[batch.clip].to(chosen_device), dice

    def train_step(model: torch.nn.Module, drawn: tuple[WindowBatch, Tensor, torch.Generator]) -> dict[str, Tensor]:
        return model(*drawn)

    @torch.no_grad()
    def validate(model: torch.nn.Module) -> dict[str, float]:
        dice = torch.Generator().manual_seed(0)
        rows = [
            model(window_at(clip, 0, shape).to(chosen_device), val_subject[k : k + 1].to(chosen_device), dice)
            for k, clip in enumerate(val_clips[:_MAX_VALIDATION_CLIPS])
        ]
        return mean_terms(rows)

    trained = train(
        objective,
        config,
        draw,
        train_step,
        validate,
        device=chosen_device,
        seed=seed,
        state_path=state_path,
        resume=resume,
        progress=progress,
    )
    averaged = {name.removeprefix("animator."): value for name, value in trained.weights.items()}
    hashes = hash_inputs(dataset=dataset)
    if folder is not None:
        hashes["speech_encoder"] = folder.identity
    provenance = Provenance(seed, config.model_dump(), hashes)
    write_checkpoint(
        output, "thunder.animator", checkpoint_of(network, averaged, record, trained.curves), provenance, force=True
    )
    return summarise(trained, output, network, config)


def _build_network(
    config: TrainAnimatorConfig, clips: list[TrainingClip], fps: float, folder: PretrainedSpeech | None
) -> FaceFormer:
    """The animator for these clips, knowing their subjects and normalising by their statistics."""
    values = config.model_dump(include=set(FaceFormerConfig.model_fields))
    if folder is not None:
        values |= {"speech_encoder": folder.kind, "folder_layer": folder.layer, "folder_sha256": folder.identity}
    network = FaceFormer(
        FaceFormerConfig(
            num_features=clips[0].motion.shape[1],
            fps=fps,
            subjects=tuple(sorted({clip.subject for clip in clips})),
            **(values | {"period": config.period or max(1, round(fps))}),
        ),
        folder,
    )
    mean, scale = motion_statistics(clips, smallest_scale=_SMALLEST_SCALE)
    network.motion_mean.copy_(mean)
    network.motion_scale.copy_(scale)
    return network


@torch.no_grad()
def _spread(head: Head, clips: list[TrainingClip], vertices: Tensor) -> float:
    """Root mean square of the vertices' distance from their mean place, over every fifth frame of some clips."""
    motion = torch.cat([clip.motion[::5] for clip in clips[:_CLIPS_FOR_STATISTICS]])
    places = head.vertices(motion, indices=vertices)
    return max(float((places - places.mean(0)).square().mean().sqrt()), 1e-9)
