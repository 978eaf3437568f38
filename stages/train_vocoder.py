"""Trains a vocoder on a dataset, in the units and voices of a mesh-to-speech model."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import ClipFile, open_clips
from stages.artifacts.files import check_output
from stages.audio.log_mel import MEL_RATE_HZ
from stages.heads.head import build_head
from stages.models.mesh_to_speech import check_same_face, load_mesh_to_speech
from stages.models.vocoder import (
    Vocoder,
    VocoderConfig,
    add_weight_norm,
    checkpoint_of,
    ears_fingerprint,
    without_weight_norm,
)
from stages.models.vocoder_critics import Critics
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs
from stages.training.blame import worst_clip
from stages.training.interruption import check_state
from stages.training.loop import LoopConfig, TrainingSummary, mean_terms, summarise, train
from stages.training.spoken_segments import SegmentBatch, draw_segments, load_spoken_clips, segment_in_the_middle
from stages.training.vocoder_objective import VocoderObjective, VocoderWeights

_MAX_VALIDATION_CLIPS = 24
_VALIDATION_MEL_FRAMES = 2 * MEL_RATE_HZ


class TrainVocoderConfig(LoopConfig):
    """Configuration of `train-vocoder`; the defaults are the papers' sizes.

    Attributes:
        segment_s: seconds of speech in a training segment.
        heard_share: share of segments whose mel and units are what the mesh-to-speech model hears in the face, as at use;
            the others' are true.
        hours: of training speech to use at most, drawn by clip; each is listened to once before the training.
        adversarial_from: share of the steps after which the critics join; before, the spectra alone teach.
        critic_periods: of the critics that see every p-th sample.
        critic_scales: of the critics that see the sound, its rate halved so often.
        critic_width: channels that the critics begin with.
    """

    segment_s: float = Field(0.512, ge=0.1, le=60)
    heard_share: float = Field(0.5, ge=0, le=1)
    hours: float = Field(1000.0, gt=0)
    unit_dim: int = Field(128, ge=1)
    channels: int = Field(512, ge=1)
    upsampling: tuple[int, ...] = (5, 4, 2, 2, 2)
    kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[int, ...] = (1, 3, 5)
    inverse_stft: bool = False
    adversarial_from: float = Field(0.0, ge=0, le=1)
    critic_periods: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (2, 3, 5, 7, 11)
    critic_scales: tuple[Annotated[int, Field(ge=0, le=8)], ...] = (0, 1, 2)
    critic_width: int = Field(32, ge=4, multiple_of=4)
    mel_weight: float = Field(45.0, ge=0)
    stft_weight: float = Field(0.0, ge=0)
    persuasion_weight: float = Field(1.0, ge=0)
    feature_weight: float = Field(2.0, ge=0)
    learning_rate: float = Field(2e-4, gt=0)
    # HiFi-GAN clips none; this is far above the usual norm, and keeps one bad batch from spoiling all.
    gradient_clip: float = Field(1000.0, gt=0)

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"unit_dim": 8, "channels": 16, "upsampling": (1, 5), "kernels": (3,), "dilations": (1,),
                 "inverse_stft": True, "critic_periods": (2, 3), "critic_scales": (1,), "critic_width": 4,
                 "adversarial_from": 0.5, "stft_weight": 15.0, "segment_s": 0.2, "steps": 40, "batch_size": 4,
                 "learning_rate": 2e-3, "warmup": 5, "validate_every": 20},
        "small": {"unit_dim": 64, "channels": 512, "upsampling": (1, 5), "kernels": (3, 7), "dilations": (1, 3),
                  "inverse_stft": True, "critic_periods": (2, 3, 5, 7, 11), "critic_scales": (1,), "critic_width": 4,
                  "adversarial_from": 0.3, "stft_weight": 15.0, "segment_s": 0.4, "steps": 10_000, "batch_size": 8,
                  "learning_rate": 1e-3, "warmup": 100, "validate_every": 1000, "ema_decay": 0.995, "hours": 1.5},
        "paper": {"steps": 400_000, "batch_size": 16, "warmup": 1000, "precision": "bf16-mixed"},
    }  # fmt: skip


def train_vocoder(
    dataset: Path,
    m2s: Path,
    output: Path,
    config: TrainVocoderConfig,
    *,
    hubert: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
) -> TrainingSummary:
    """Trains on the dataset's training split, watches its validation split, and writes `output`.

    Args:
        hubert: the folder that the speech units of `m2s` are made of, where they are.

    Raises:
        ThunderError: a dataset without training clips, without speech, or of another head than the model's; an output that
            exists; a loss that is not a number.
    """
    state_path = output.with_suffix(".state.h5")
    if not resume:
        check_output(output, force=force, inputs=[dataset, m2s])
    check_state(state_path, resume=resume, force=force)
    chosen_device = resolve_device(device)
    torch.manual_seed(seed)
    ears, model_head = load_mesh_to_speech(m2s, chosen_device, hubert=hubert)
    network = Vocoder(
        VocoderConfig.resolve(
            options={
                "num_units": ears.config.num_units,
                "voice_dim": ears.config.voice_dim,
                "ears": ears_fingerprint(ears),
                **{name: getattr(config, name) for name in _OF_THE_NETWORK},
            }
        )
    )
    network.mel_mean.copy_(ears.mel_mean)
    network.mel_scale.copy_(ears.mel_scale)
    with open_clips(dataset, "thunder.dataset") as file:
        check_same_face(model_head, file.head, ears.config.input, m2s)
        head = build_head(file.head).to(chosen_device)
        chosen = _some_hours(file, config.hours, seed)
        clips = load_spoken_clips(file, chosen, ears, head, heard=config.heard_share > 0, progress=progress)
        some = file.ids("val")[:_MAX_VALIDATION_CLIPS]
        val_clips = load_spoken_clips(file, some, ears, head, heard=True, progress=progress)
    if not clips:
        raise ThunderError(f"{dataset}: no clip of split 'train' lasts 20 ms; preprocess longer recordings")
    add_weight_norm(network)
    objective = VocoderObjective(
        network,
        Critics(config.critic_periods, config.critic_scales, config.critic_width),
        VocoderWeights(config.mel_weight, config.stft_weight, config.persuasion_weight, config.feature_weight),
        critics_from=round(config.adversarial_from * config.steps),
    )
    num_mel_frames = 2 * round(config.segment_s * MEL_RATE_HZ / 2)

    def draw(generator: torch.Generator) -> SegmentBatch:
        return draw_segments(clips, num_mel_frames, config.batch_size, config.heard_share, generator).to(chosen_device)

    def train_step(model: torch.nn.Module, batch: SegmentBatch) -> dict[str, torch.Tensor]:
        return model(batch)

    @torch.no_grad()
    def blame(model: torch.nn.Module, batch: SegmentBatch) -> str:
        losses = [float(model(batch.item(k))["loss"]) for k in range(config.batch_size)]
        return worst_clip([clips[k].id for k in batch.clip.tolist()], losses)

    def validate(model: torch.nn.Module) -> dict[str, float]:
        figures: dict[str, float] = {}
        for kind, name in enumerate(("true", "heard")):
            rows = [model(segment_in_the_middle(c, _VALIDATION_MEL_FRAMES, kind).to(chosen_device)) for c in val_clips]
            figures |= {f"{name}_{term}": value for term, value in mean_terms(rows).items() if term != "loss"}
        return figures

    hashes = hash_inputs(dataset=dataset, m2s=m2s)
    trained = train(
        objective,
        config,
        draw,
        train_step,
        validate,
        blame=blame,
        device=chosen_device,
        seed=seed,
        state_path=state_path,
        resume=resume,
        inputs=hashes,
        progress=progress,
    )
    parameters = dict(objective.named_parameters())
    with torch.no_grad():
        for name, value in trained.weights.items():
            parameters[name].copy_(value)
    plain = without_weight_norm(network)
    weights = {
        name: value.detach().half() if config.half_weights else value for name, value in plain.named_parameters()
    }
    provenance = Provenance(seed, config.model_dump(), hashes)
    write_checkpoint(output, "thunder.vocoder", checkpoint_of(plain, weights, trained.curves), provenance, force=True)
    return summarise(trained, output, plain, config)


_OF_THE_NETWORK = ("unit_dim", "channels", "upsampling", "kernels", "dilations", "inverse_stft")


def _some_hours(file: ClipFile, hours: float, seed: int) -> list[str]:
    """Training clips in random order, until they fill the hours."""
    ids = file.ids("train")
    if not ids:
        raise ThunderError(f"{file.path}: no clip in split 'train'; preprocess a corpus with more subjects or clips")
    chosen, seconds = [], 0.0
    for index in torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed)).tolist():
        if seconds >= 3600 * hours:
            break
        chosen.append(ids[index])
        seconds += file.summary(ids[index]).duration_s
    return sorted(chosen)
