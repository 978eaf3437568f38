"""Trains a lip reader on a dataset's faces, drawn, its sound and its transcripts."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import ClipFile, open_clips
from stages.artifacts.files import check_output
from stages.metrics.readability import character_error_rate, num_characters
from stages.models.lip_reader import (
    CROP_SIDE,
    DECODER_SHARE,
    VIDEO_RATE_HZ,
    LipReader,
    LipReaderConfig,
    checkpoint_of,
    write_down,
)
from stages.rendering.mouth_crops import mouth_scene
from stages.runtime.devices import resolve_device
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs
from stages.training.blame import worst_clip
from stages.training.interruption import check_state
from stages.training.lip_clips import FilmStudio, LipBatch, LipClip, collate, load_lip_clips, vary_film
from stages.training.lip_reader_objective import LipReaderObjective, LipReaderWeights, ModalityDropout
from stages.training.loop import LoopConfig, TrainingSummary, mean_terms, summarise, train
from stages.training.transcribed_clips import (
    TranscribedClips,
    check_some,
    draw_like_lengths,
    left_out_of,
    load_both_splits,
)

_MAX_VALIDATION_CLIPS = 32
_MAX_CLIPS_FOR_STATISTICS = 200
_CLIPS_FOR_BRIGHTNESS = 8


class TrainLipreaderConfig(LoopConfig):
    """Configuration of `train-lipreader`; the defaults are Auto-AVSR's sizes (Ma et al., 2023), but for the vocabulary: two
    characters a frame where it has one word piece.

    Attributes:
        form: `light` or `published` front ends and norms.
        streams: `both`, or `picture` for a reader that never hears: what it learns of lips owes nothing to speech.
        channels, dim, num_layers, num_heads, kernel, decoder_layers, fusion_dim, dropout, labels_per_frame: see
            `LipReaderConfig`.
        decoder_share: likewise; it is of reading, and not of training.
        max_clip_s: longer clips are left out, and the model reads none.
        max_characters: a language of more, such as Mandarin in hanzi, is left out.
        drop_sound, drop_picture: how often a training clip is read without one.
        ctc_weight, attention_weight, phone_weight: of the loss terms; phones count where the dataset has them.
        new_look: chance that a clip that was filmed before is filmed again under another light, from another side.
    """

    form: Literal["light", "published"] = "published"
    streams: Literal["both", "picture"] = "both"
    channels: int = Field(64, ge=1)
    dim: int = Field(768, ge=2, multiple_of=2)
    num_layers: int = Field(12, ge=1)
    num_heads: int = Field(12, ge=1)
    kernel: int = Field(31, ge=1)
    decoder_layers: int = Field(6, ge=1)
    fusion_dim: int = Field(8192, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    labels_per_frame: int = Field(2, ge=1, le=4)
    decoder_share: float = Field(DECODER_SHARE, ge=0, le=1)
    max_clip_s: float = Field(12.0, gt=0, le=600)
    max_characters: int = Field(200, ge=1)
    drop_sound: float = Field(0.5, ge=0, le=1)
    drop_picture: float = Field(0.1, ge=0, le=1)
    ctc_weight: float = Field(0.5, ge=0)
    attention_weight: float = Field(0.5, ge=0)
    phone_weight: float = Field(1.0, ge=0)
    new_look: float = Field(0.1, ge=0, le=1)

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"form": "light", "channels": 8, "dim": 32, "num_layers": 1, "num_heads": 2, "kernel": 7,
                 "decoder_layers": 1, "fusion_dim": 64, "dropout": 0.0, "steps": 60, "batch_size": 4,
                 "learning_rate": 2e-3, "warmup": 10, "validate_every": 30},
        "small": {"form": "light", "channels": 32, "dim": 144, "num_layers": 3, "num_heads": 4, "kernel": 15,
                  "decoder_layers": 1, "fusion_dim": 288, "dropout": 0.0, "steps": 6000, "batch_size": 8,
                  "learning_rate": 1.5e-3, "new_look": 0.02},
        "paper": {"steps": 100_000, "batch_size": 32, "learning_rate": 1e-3, "warmup": 10_000, "weight_decay": 0.03,
                  "precision": "bf16-mixed", "new_look": 0.5},
    }  # fmt: skip

    @model_validator(mode="after")
    def _one_sense_is_left(self) -> Self:
        if self.streams == "both" and self.drop_sound + self.drop_picture > 1:
            raise ValueError("drop_picture wanted at most 1 - drop_sound: a clip without either has nothing to read")
        return self


def train_lipreader(
    dataset: Path,
    output: Path,
    config: TrainLipreaderConfig,
    *,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
) -> TrainingSummary:
    """Trains on the dataset's training split, watches its validation split, and writes `output`.

    Raises:
        ThunderError: a dataset none of whose training clips has speech, a transcript and time enough for it; a head without
            lips; a frame that shows no mouth; an output that exists; a loss that is not a number.
    """
    state_path = output.with_suffix(".state.h5")
    if not resume:
        check_output(output, force=force, inputs=[dataset])
    check_state(state_path, resume=resume, force=force)
    chosen_device = resolve_device(device)
    with open_clips(dataset, "thunder.dataset") as file:
        mouth_scene(file.head)  # refuses a head without lips before anything is read
        spoken, tried = load_both_splits(
            file, max_clip_s=config.max_clip_s, max_characters=config.max_characters, progress=progress
        )
        torch.manual_seed(seed)
        network = _build_network(config, spoken.characters)
        clips = _faces(file, spoken, network, progress)
        val_clips = _faces(file, tried, network, progress)[:_MAX_VALIDATION_CLIPS]
        check_some(spoken if clips else TranscribedClips([], "", spoken.left_out), file, "train")
        studio = FilmStudio(file, chosen_device, config.new_look)
    clips.sort(key=lambda clip: clip.num_frames)
    _fit_statistics(network, studio, clips, seed)

    def draw(generator: torch.Generator) -> LipBatch:
        chosen = draw_like_lengths(clips, config.batch_size, generator)
        films = [vary_film(film, generator, CROP_SIDE) for film in studio.varied(chosen, generator)]
        return collate(chosen, films, spoken.characters).to(chosen_device)

    def train_step(model: torch.nn.Module, batch: LipBatch) -> dict[str, torch.Tensor]:
        return model(batch)

    @torch.no_grad()
    def blame(model: torch.nn.Module, batch: LipBatch) -> str:
        return worst_clip(batch.ids, [float(model(batch.item(k))["loss"]) for k in range(len(batch.ids))])

    val_batches: list[LipBatch] = []

    @torch.no_grad()
    def validate(model: torch.nn.Module) -> dict[str, float]:
        if not val_batches:
            val_batches.extend(collate([clip], [studio.film(clip).cpu()], spoken.characters) for clip in val_clips)
        batches = [batch.to(chosen_device) for batch in val_batches]
        if not batches:
            return {}
        both, lips = (mean_terms([model(batch, heard=heard) for batch in batches]) for heard in (True, False))
        rates = {f"cer{of}": _error_rate(network, val_clips, batches, heard=not of) for of in ("", "_lips")}
        return both | {f"{name}_lips": value for name, value in lips.items()} | rates

    hashes = hash_inputs(dataset=dataset)
    trained = train(
        LipReaderObjective(
            network,
            LipReaderWeights(config.ctc_weight, config.attention_weight, config.phone_weight),
            ModalityDropout(config.drop_sound, config.drop_picture),
        ),
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
    averaged = {
        name.removeprefix("network."): value for name, value in trained.weights.items() if name.startswith("network.")
    }
    provenance = Provenance(seed, config.model_dump(), hashes)
    write_checkpoint(
        output, "thunder.lipreader", checkpoint_of(network, averaged, trained.curves), provenance, force=True
    )
    return summarise(trained, output, network, config, left_out=left_out_of(spoken, tried))


def _build_network(config: TrainLipreaderConfig, characters: str) -> LipReader:
    values = config.model_dump(include=set(LipReaderConfig.model_fields))
    return LipReader(
        LipReaderConfig(characters=characters, max_frames=int(config.max_clip_s * VIDEO_RATE_HZ) + 1, **values)
    )


def _faces(file: ClipFile, spoken: TranscribedClips, network: LipReader, progress: Progress) -> list[LipClip]:
    """The clips of a split as they are seen and heard; notes those whose text does not fit into their frames."""
    clips, dense = load_lip_clips(file, spoken.clips, network, progress)
    if dense:
        each = 1000 // (VIDEO_RATE_HZ * network.config.labels_per_frame)
        spoken.left_out[f"more characters than CTC can fit into their frames, one in {each} ms"] = dense
    return clips


def _error_rate(network: LipReader, clips: list[LipClip], batches: list[LipBatch], *, heard: bool) -> float:
    weights = [num_characters(clip.text) for clip in clips]
    rates = []
    for clip, batch in zip(clips, batches, strict=True):
        reading = network(batch.crops, batch.sound if heard else None, batch.mask)
        rates.append(character_error_rate(clip.text, write_down(network, reading, batch.mask)))
    return sum(r * w for r, w in zip(rates, weights, strict=True)) / sum(weights)


@torch.no_grad()
def _fit_statistics(network: LipReader, studio: FilmStudio, clips: list[LipClip], seed: int) -> None:
    """Brightness of some films, and mean and deviation of every mel band over more of the training clips."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(clips), generator=generator)[:_MAX_CLIPS_FOR_STATISTICS].tolist()
    films = studio.varied([clips[k] for k in order[:_CLIPS_FOR_BRIGHTNESS]], generator)
    brightness = torch.cat([film[::5] for film in films]).float() / 255
    network.picture_mean.copy_(brightness.mean())
    network.picture_scale.copy_(brightness.std().clamp_min(0.01))
    if network.config.form == "light":
        mel = torch.cat([clips[k].sound for k in order])
        network.mel_mean.copy_(mel.mean(0))
        network.mel_scale.copy_(mel.std(0).clamp_min(0.1))
