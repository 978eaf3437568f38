"""Trains a recogniser of speech on a dataset's sound, transcripts and phones."""

from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import open_clips
from stages.artifacts.files import check_output
from stages.metrics.readability import character_error_rate, num_characters
from stages.metrics.visemes import PHONES
from stages.models.recogniser import Recogniser, RecogniserConfig, checkpoint_of, transcribe
from stages.runtime.devices import resolve_device
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs
from stages.training.augmentation import vary_recording
from stages.training.blame import worst_clip
from stages.training.interruption import check_state
from stages.training.loop import LoopConfig, TrainingSummary, mean_terms, summarise, train
from stages.training.mel_masking import hide_parts, smear
from stages.training.recogniser_objective import RecogniserObjective
from stages.training.transcribed_clips import (
    SpeechBatch,
    TranscribedClip,
    collate,
    draw_like_lengths,
    left_out_of,
    load_both_splits,
)

_MAX_VALIDATION_CLIPS = 64
_MAX_CLIPS_FOR_STATISTICS = 500


class TrainRecogniserConfig(LoopConfig):
    """Configuration of `train-recogniser`; the defaults are those of a medium conformer (Gulati et al., 2020).

    Attributes:
        max_clip_s: longer clips are left out.
        max_characters: a language of more, such as Mandarin in hanzi, is left out.
        phone_weight: of the phones' loss, where the dataset has phones.
        vary: train on other voices, rooms and microphones, and on smeared and partly hidden speech.
    """

    dim: int = Field(256, ge=1)
    num_layers: int = Field(16, ge=1)
    num_heads: int = Field(4, ge=1)
    kernel: int = Field(31, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    max_clip_s: float = Field(12.0, gt=0, le=600)
    max_characters: int = Field(200, ge=1)
    phone_weight: float = Field(1.0, ge=0)
    vary: bool = True

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"dim": 32, "num_layers": 1, "num_heads": 2, "kernel": 7, "dropout": 0.0, "steps": 60, "batch_size": 4,
                 "learning_rate": 2e-3, "warmup": 10, "validate_every": 30},
        "small": {"dim": 144, "num_layers": 4, "num_heads": 4, "kernel": 15, "dropout": 0.0, "steps": 6000,
                  "learning_rate": 1.5e-3},
        "paper": {"steps": 100_000, "batch_size": 32, "learning_rate": 1e-3, "warmup": 10_000, "precision": "bf16-mixed"},
    }  # fmt: skip


def train_recogniser(
    dataset: Path,
    output: Path,
    config: TrainRecogniserConfig,
    *,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
) -> TrainingSummary:
    """Trains on the dataset's training split, watches its validation split, and writes `output`.

    Raises:
        ThunderError: a dataset none of whose training clips has speech, a transcript and time enough for it; an output
            that exists; a loss that is not a number.
    """
    state_path = output.with_suffix(".state.h5")
    if not resume:
        check_output(output, force=force, inputs=[dataset])
    check_state(state_path, resume=resume, force=force)
    with open_clips(dataset, "thunder.dataset") as file:
        spoken, tried = load_both_splits(
            file, max_clip_s=config.max_clip_s, max_characters=config.max_characters, progress=progress
        )
    clips = sorted(spoken.clips, key=lambda clip: len(clip.log_mel))
    chosen_device = resolve_device(device)
    torch.manual_seed(seed)
    network = Recogniser(
        RecogniserConfig(
            characters=spoken.characters,
            phones=PHONES,
            **config.model_dump(include=set(RecogniserConfig.model_fields)),
        )
    )
    _fit_statistics(network, clips, seed)

    def draw(generator: torch.Generator) -> SpeechBatch:
        batch = collate(draw_like_lengths(clips, config.batch_size, generator), spoken.characters)
        if config.vary:
            varied = smear(vary_recording(batch.log_mel, generator), generator)
            batch = batch.with_sound(hide_parts(varied, generator))
        return batch.to(chosen_device)

    def train_step(model: torch.nn.Module, batch: SpeechBatch) -> dict[str, torch.Tensor]:
        return model(batch)

    @torch.no_grad()
    def blame(model: torch.nn.Module, batch: SpeechBatch) -> str:
        return worst_clip(batch.ids, [float(model(batch.item(k))["loss"]) for k in range(len(batch.ids))])

    some = tried.clips[:_MAX_VALIDATION_CLIPS]

    @torch.no_grad()
    def validate(model: torch.nn.Module) -> dict[str, float]:
        terms = mean_terms([model(collate([clip], spoken.characters).to(chosen_device)) for clip in some])
        return terms | _error_rate(network, some) if some else {}

    hashes = hash_inputs(dataset=dataset)
    trained = train(
        RecogniserObjective(network, config.phone_weight),
        config,
        draw,
        train_step,
        validate,
        blame=blame,
        inputs=hashes,
        device=chosen_device,
        seed=seed,
        state_path=state_path,
        resume=resume,
        progress=progress,
    )
    averaged = {name.removeprefix("network."): value for name, value in trained.weights.items()}
    provenance = Provenance(seed, config.model_dump(), hashes)
    checkpoint = checkpoint_of(network, averaged, trained.curves)
    write_checkpoint(output, "thunder.recogniser", checkpoint, provenance, force=True)
    return summarise(trained, output, network, config, left_out=left_out_of(spoken, tried))


def _error_rate(network: Recogniser, clips: list[TranscribedClip]) -> dict[str, float]:
    device = network.mel_mean.device
    weights = [num_characters(clip.text) for clip in clips]
    rates = [character_error_rate(clip.text, transcribe(network, clip.log_mel[None].to(device))) for clip in clips]
    return {"cer": sum(r * w for r, w in zip(rates, weights, strict=True)) / sum(weights)}


def _fit_statistics(network: Recogniser, clips: list[TranscribedClip], seed: int) -> None:
    """Mean and deviation of every mel band over some of the training clips."""
    order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))[:_MAX_CLIPS_FOR_STATISTICS]
    mel = torch.cat([clips[k].log_mel for k in order.tolist()])
    network.mel_mean.copy_(mel.mean(0))
    network.mel_scale.copy_(mel.std(0).clamp_min(0.1))
