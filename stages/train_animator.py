"""Trains a deterministic animator, FaceFormer or CodeTalker, on a dataset, with or without those who hear and read it."""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import open_clips
from stages.artifacts.head_record import HeadRecord
from stages.audio.pretrained import PretrainedSpeech, load_pretrained, num_layers_of
from stages.heads.head import build_head, region_indices
from stages.models.animator import Animator, AnimatorConfig
from stages.models.animators import build_animator, checkpoint_of, resolve_animator
from stages.models.codetalker import CodeTalker, CodeTalkerConfig
from stages.models.folder_of_model import values_of_folder
from stages.models.speech_encoder import FolderEncoder, SpeechEncoder
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance
from stages.training.animator_objective import AnimatorObjective, spread_of
from stages.training.blame import worst_window
from stages.training.clips_in_memory import TrainingClip, load_training_clips, normalise_by, read_sounds
from stages.training.first_weights import (
    begin_with,
    check_encoder,
    go_on_from_animator,
    inputs_of_training,
    load_animator_of,
    load_encoder,
)
from stages.training.guidance import (
    GuidanceConfig,
    check_outputs,
    load_guidance,
    prepare_clips,
    unread,
    write_tuned_reader,
)
from stages.training.interruption import check_state
from stages.training.loop import TrainingSummary, mean_terms, summarise, train
from stages.training.motion_codebook import (
    AutoencoderObjective,
    CodebookPaths,
    FirstStage,
    draw_codebook,
    learn_codebook,
    load_first_stage,
)
from stages.training.spoken_words import extracts_of
from stages.training.windows import END_SHARE, WindowShape, draw_windows, windows_at_starts

_MAX_VALIDATION_CLIPS = 32


class TrainAnimatorConfig(GuidanceConfig):
    """Configuration of `train-animator faceformer`; the defaults are its sizes for VOCASET.

    Attributes:
        architecture: the animator that it is a configuration of.
        window: frames at a time; published are whole sentences.
        period: frames after which positions repeat; None is a second, as published.
        encoder_*: sizes of our own speech encoder; `encoder_dim` is also what the features of a folder are brought to.
        freeze_encoder: leave the speech encoder of a folder, or of another model, as it is; published is training all but its
            convolutions.
        max_clips: training clips to use, drawn by the seed; all if None.
        num_vertices: that the loss compares, drawn once from all; None compares all, as published.
        weight_features, teacher_forcing, drop_subject, fed_noise: see `AnimatorObjective`; published are 0, no, 0 and 0.
        weight_lips: of the lips' vertices; 1 is that of Han et al. Of those who hear and read, see `GuidanceConfig`.
    """

    architecture: ClassVar[str] = "faceformer"

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
    max_clips: int | None = Field(None, ge=1)
    num_vertices: int | None = Field(None, ge=1)
    weight_features: float = Field(0.0, ge=0)
    weight_lips: float = Field(0.0, ge=0)
    teacher_forcing: bool = False
    drop_subject: float = Field(0.0, ge=0, le=1)
    fed_noise: float = Field(0.0, ge=0)

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


class TrainCodeTalkerConfig(TrainAnimatorConfig):
    """Configuration of `train-animator codetalker`; the defaults are its sizes for VOCASET.

    Attributes:
        autoencoder_steps: of the first stage, which learns codes of motion from motion alone; `autoencoder_learning_rate` is
            its peak, and all else is as in the second.
        num_codes, code_dim, codes_per_frame, autoencoder_*: see `AutoencoderSizes`.
        drawn_codebook: begin with codes drawn from what the encoder says; published is a uniform draw.
    """

    architecture: ClassVar[str] = "codetalker"

    dim: int = Field(1024, ge=2)
    num_layers: int = Field(6, ge=1)
    autoencoder_steps: int = Field(20_000, ge=1)
    autoencoder_learning_rate: float = Field(1e-4, gt=0)
    num_codes: int = Field(256, ge=2)
    code_dim: int = Field(64, ge=1)
    codes_per_frame: int = Field(16, ge=1)
    autoencoder_dim: int = Field(1024, ge=1)
    autoencoder_layers: int = Field(6, ge=1)
    autoencoder_heads: int = Field(8, ge=1)
    autoencoder_feed_forward: int = Field(1536, ge=1)
    drawn_codebook: bool = True

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {**TrainAnimatorConfig.presets["tiny"], "autoencoder_steps": 60, "autoencoder_learning_rate": 5e-3,
                 "num_codes": 32, "code_dim": 8, "codes_per_frame": 4, "autoencoder_dim": 32, "autoencoder_layers": 1,
                 "autoencoder_heads": 2, "autoencoder_feed_forward": 32},
        "small": {**TrainAnimatorConfig.presets["small"], "dim": 128, "num_layers": 2, "autoencoder_steps": 4000,
                  "autoencoder_learning_rate": 1e-3, "code_dim": 16, "codes_per_frame": 8, "autoencoder_dim": 128,
                  "autoencoder_layers": 2, "autoencoder_heads": 4, "autoencoder_feed_forward": 192},
        "paper": {"batch_size": 1, "steps": 32_000, "autoencoder_steps": 64_000, "weight_decay": 0.0,
                  "drawn_codebook": False},
    }  # fmt: skip

    @model_validator(mode="after")
    def _heads_share_the_autoencoders_width(self) -> Self:
        if self.autoencoder_dim % self.autoencoder_heads:
            raise ValueError(f"autoencoder_dim wanted a multiple of autoencoder_heads ({self.autoencoder_heads})")
        return self


def train_animator(
    dataset: Path,
    output: Path,
    config: TrainAnimatorConfig,
    *,
    m2s: Path | None = None,
    hubert: Path | None = None,
    lipreader: Path | None = None,
    speech_encoder: Path | None = None,
    speech_encoder_layer: int | None = None,
    encoder_from: Path | None = None,
    autoencoder_from: Path | None = None,
    weights_from: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
) -> TrainingSummary:
    """Trains on the dataset's training split, watches its validation split, and writes `output`.

    Args:
        m2s: the frozen mesh-to-speech model that listens to the generated motion; None trains without.
        hubert: the folder that the speech units of `m2s` are made of, where they are.
        lipreader: the lip reader that reads the generated motion; None trains without.
        speech_encoder: a `transformers` folder of wav2vec 2.0, HuBERT or WavLM to hear speech by; None uses our encoder.
        speech_encoder_layer: of that folder, from 1; None is the last, as published.
        encoder_from: a `thunder.diffusion`, whose speech encoder to begin with; its sizes take the place of the configured
            ones.
        autoencoder_from: a CodeTalker, whose first stage to take in place of training one; as with `encoder_from`.
        weights_from: another animator of this architecture and head, to go on from, its first stage included; its sizes and
            its statistics take the place of the configured ones and the dataset's.

    Raises:
        ThunderError: a dataset that cannot be trained on, or of which nothing can be read; an M2S model of another head, or
            without its folder; an output that exists; a loss that is not a number.
    """
    state_path = output.with_suffix(".state.h5")
    check_encoder(
        frozen=config.freeze_encoder,
        speech_encoder=speech_encoder,
        encoder_from=encoder_from,
        weights_from=weights_from,
    )
    inputs = [dataset, m2s, lipreader, encoder_from, autoencoder_from, weights_from]
    learns_codes = config.architecture == "codetalker" and autoencoder_from is None and weights_from is None
    _check_start(output, config, inputs, learns_codes=learns_codes, resume=resume, force=force)
    chosen_device = resolve_device(device)
    folder = _load_folder(speech_encoder, speech_encoder_layer, chosen_device)
    with open_clips(dataset, "thunder.dataset") as file:
        record = file.head
        first_stage = None if autoencoder_from is None else load_first_stage(autoencoder_from, record)
        guidance = load_guidance(config, record, chosen_device, m2s=m2s, hubert=hubert, lipreader=lipreader)
        clips, fps = load_training_clips(file, "train", progress, at_most=config.max_clips, seed=seed)
        val_clips = load_training_clips(file, "val", progress)[0] if file.ids("val") else []
        del val_clips[_MAX_VALIDATION_CLIPS:]
        script, val_script = prepare_clips(guidance, file, clips, val_clips, fps, config, seed, progress)
        torch.manual_seed(seed)
        network = _build_network(config, clips, fps, record, folder, encoder_from, first_stage, weights_from)
        encoder = network.speech_encoder
        if isinstance(encoder, FolderEncoder):
            read_sounds(clips + val_clips, file, encoder, progress)
    head = build_head(record)
    vertices = torch.randperm(len(record.template))[: config.num_vertices].sort().values
    objective = AnimatorObjective(
        network,
        head,
        vertices=vertices,
        scale=spread_of(head, clips, vertices),
        weight_features=config.weight_features,
        teacher_forcing=config.teacher_forcing,
        drop_subject=config.drop_subject,
        fed_noise=config.fed_noise,
        lips=region_indices(record, "lips") if config.weight_lips > 0 else None,
        weight_lips=config.weight_lips,
        guidance=guidance,
    )
    assert isinstance(encoder, SpeechEncoder | FolderEncoder), "a published encoder is imported, not trained"
    shape = WindowShape(
        config.window, fps, mel_margin=network.speech_margin, sound_hz=encoder.rate_hz, silence=encoder.silence
    )
    hashes = inputs_of_training(
        folder,
        weights_from,
        dataset=dataset,
        m2s=m2s,
        lipreader=lipreader,
        encoder_from=encoder_from,
        autoencoder_from=autoencoder_from,
    )
    first_curves = _learn_codes(
        network, objective, config, clips, val_clips, shape, output, hashes, chosen_device, seed, resume, progress
    )
    numbers = {name: index for index, name in enumerate(network.config.subjects, start=1)}
    subject = torch.tensor([numbers[clip.subject] for clip in clips])
    val_subject = torch.tensor([numbers.get(clip.subject, 0) for clip in val_clips])

    def draw(generator: torch.Generator) -> tuple[Any, ...]:
        batch = draw_windows(clips, shape, config.batch_size, generator, end_share=END_SHARE)
        read = extracts_of(script, batch, generator, chosen_device)
        # The step has dice of its own: the next batch is drawn beside it.
        dice = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return batch.to(chosen_device), subject[batch.clip].to(chosen_device), dice, read

    def train_step(model: torch.nn.Module, drawn: tuple[Any, ...]) -> dict[str, Tensor]:
        return model(*drawn)

    val_windows = windows_at_starts(val_clips, shape)

    def validate(model: torch.nn.Module) -> dict[str, float]:
        dice = torch.Generator().manual_seed(0)
        rows = []
        for batch in val_windows:
            read = extracts_of(val_script, batch, dice, chosen_device)
            rows.append(model(batch.to(chosen_device), val_subject[batch.clip].to(chosen_device), dice, read))
        return mean_terms(rows, [len(batch.clip) for batch in val_windows])

    trained = train(
        objective,
        config,
        draw,
        train_step,
        validate,
        blame=partial(worst_window, clips),
        inputs=hashes,
        pace=config.pace,
        device=chosen_device,
        seed=seed,
        state_path=state_path,
        resume=resume and state_path.exists(),
        progress=progress,
    )
    averaged = {
        name.removeprefix("animator."): value for name, value in trained.weights.items() if name.startswith("animator.")
    }
    provenance = Provenance(seed, config.model_dump(), hashes)
    write_tuned_reader(output, guidance, trained, provenance)
    write_checkpoint(
        output,
        "thunder.animator",
        checkpoint_of(network, averaged, record, first_curves | trained.curves),
        provenance,
        force=True,
    )
    CodebookPaths.beside(output).remove()
    return summarise(trained, output, network, config, left_out=unread(script, val_script))


def _check_start(
    output: Path,
    config: TrainAnimatorConfig,
    inputs: list[Path | None],
    *,
    learns_codes: bool,
    resume: bool,
    force: bool,
) -> None:
    """Refuses what cannot be begun, or gone on with, before anything is read."""
    state_path, codebook = output.with_suffix(".state.h5"), CodebookPaths.beside(output)
    if not resume:
        check_outputs(output, config, force=force, inputs=inputs)
    goes_on = config.architecture == "codetalker" and codebook.check(resume=resume, force=force)
    if not (goes_on and learns_codes) or state_path.exists():
        check_state(state_path, resume=resume, force=force)
    if resume and learns_codes and not goes_on:
        raise ThunderError(
            f"{state_path}: the first stage that it goes on from is missing, {codebook.done}; give --autoencoder-from if it "
            f"had one, or --force starts over"
        )


def _load_folder(path: Path | None, layer: int | None, device: torch.device) -> PretrainedSpeech | None:
    if path is None:
        return None
    layer = layer or num_layers_of(path, option="--speech-encoder")
    return load_pretrained(path, layer=layer, device=device, option="--speech-encoder")


def _learn_codes(
    network: Animator,
    second: AnimatorObjective,
    config: TrainAnimatorConfig,
    clips: list[TrainingClip],
    val_clips: list[TrainingClip],
    shape: WindowShape,
    output: Path,
    inputs: dict[str, str],
    device: torch.device,
    seed: int,
    resume: bool,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Trains the autoencoder of a network that has one to learn, compared with the truth as the whole will be.

    Returns:
        Its curves.
    """
    if not isinstance(network, CodeTalker) or inputs.keys() & {"autoencoder_from", "weights_from"}:
        return {}
    assert isinstance(config, TrainCodeTalkerConfig), "CodeTalker is built from its own configuration"
    if not resume:
        # Interrupted in the first stage, it would go on in the second where another was.
        output.with_suffix(".state.h5").unlink(missing_ok=True)
    first = AutoencoderObjective(
        network, second.head, vertices=second.vertices, scale=second.scale, weight_features=second.weight_features
    )
    if config.drawn_codebook:
        draw_codebook(first, clips, shape, torch.Generator().manual_seed(seed))
    steps = {"steps": config.autoencoder_steps, "learning_rate": config.autoencoder_learning_rate}
    return learn_codebook(
        first,
        config.model_copy(update=steps),
        clips,
        val_clips,
        shape,
        CodebookPaths.beside(output),
        inputs=inputs,
        device=device,
        seed=seed,
        resume=resume,
        progress=progress,
    )


def _build_network(
    config: TrainAnimatorConfig,
    clips: list[TrainingClip],
    fps: float,
    record: HeadRecord,
    folder: PretrainedSpeech | None,
    encoder_from: Path | None,
    first_stage: FirstStage | None,
    weights_from: Path | None,
) -> Animator:
    """The animator for these clips, knowing their subjects and normalising by their statistics."""
    kind = CodeTalkerConfig if config.architecture == "codetalker" else AnimatorConfig
    values = config.model_dump(include=set(kind.model_fields))
    encoder, sizes = load_encoder(encoder_from)
    whole, sizes_of_all = load_animator_of(weights_from, config.architecture, record, fps)
    values |= (
        sizes
        | values_of_folder(folder)
        | {
            "num_features": clips[0].motion.shape[1],
            "fps": fps,
            "subjects": tuple(sorted({clip.subject for clip in clips})),
            "period": config.period or max(1, round(fps)),
        }
    )
    if config.architecture == "codetalker":
        values["decoded_frames"] = config.window
    if first_stage is not None:
        values |= first_stage.sizes
    values |= sizes_of_all
    network = build_animator(resolve_animator(config.architecture, values, config.architecture), folder)
    normalise_by(clips, network)
    begin_with(network.speech_encoder, encoder, frozen=config.freeze_encoder)
    if first_stage is not None:
        assert isinstance(network, CodeTalker), "only CodeTalker has a first stage"
        first_stage.give(network)
    if whole is not None:
        go_on_from_animator(network, whole)
        network.speech_encoder.requires_grad_(not config.freeze_encoder)
    return network
