"""Trains the diffusion animator on a dataset, while a mesh-to-speech model listens, a lip reader reads, both, or nobody."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import ClipFile, open_clips
from stages.artifacts.head_record import HeadRecord
from stages.audio.pretrained import PretrainedSpeech, load_pretrained
from stages.heads.head import build_head, region_indices
from stages.metrics.phone_confusions import UNKNOWN
from stages.models.folder_of_model import values_of_folder
from stages.models.motion_denoiser import (
    MotionDenoiser,
    MotionDenoiserConfig,
    checkpoint_of,
)
from stages.models.speech_encoder import FolderEncoder
from stages.runtime.devices import resolve_device
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance
from stages.training.blame import worst_window
from stages.training.clips_in_memory import (
    TrainingClip,
    load_training_clips,
    mistrack,
    normalise_by,
    read_sounds,
)
from stages.training.diffusion_objective import (
    DiffusionObjective,
    DiffusionWeights,
    Dropout,
    ListeningSchedule,
    measure_scales,
)
from stages.training.first_weights import (
    begin_with,
    check_encoder,
    go_on_from,
    inputs_of_training,
    load_denoiser,
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
from stages.training.spoken_words import extracts_of
from stages.training.windows import END_SHARE, WindowShape, draw_windows, window_at

_MAX_VALIDATION_CLIPS = 32
# Vertices of the whole face that the vertex term compares: enough to see every shape, few enough to be quick.
_NUM_FACE_VERTICES = 400


class TrainDiffusionConfig(GuidanceConfig):
    """Configuration of `train-diffusion`; the defaults are DiffPoseTalk's sizes, the nearest published ones.

    Attributes:
        window, context: frames generated at once, and frames known from the window before.
        context_noise: standard deviation of noise on the context, in the model's scale.
        encoder_*: sizes of our own speech encoder; `encoder_dim` is also what the features of a folder are brought to.
        freeze_encoder: leave the speech encoder as it is: a folder's, or that of another model.
        regression: train the deterministic twin, see `MotionDenoiserConfig`.
        max_clips: training clips to use, drawn by the seed; all if None.
        motion_noise: errors added to the motion of training clips, in deviations of each feature, see `mistrack`: what
            trainings on poorly tracked faces are like.
        hidden_share: of windows whose speech our own encoder hears with parts of its spectrogram hidden.
        weight_*: of the loss terms, see `DiffusionWeights`; of those who hear and read, see `GuidanceConfig`.
        m2s_schedule: of `weight_m2s` and `weight_lipreader` over timesteps, see `listening_share`.
        drop_*: how often a condition is withheld.
    """

    learning_rate: float = Field(1e-4, gt=0)
    window: int = Field(100, ge=4, le=10_000)
    context: int = Field(10, ge=1, le=10_000)
    num_timesteps: int = Field(500, ge=1)
    freeze_encoder: bool = False
    regression: bool = False
    max_clips: int | None = Field(None, ge=1)
    motion_noise: float = Field(0.0, ge=0)
    hidden_share: float = Field(0.0, ge=0, le=1)
    dim: int = Field(512, ge=1)
    num_layers: int = Field(8, ge=1)
    num_heads: int = Field(8, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    encoder_dim: int = Field(512, ge=1)
    encoder_layers: int = Field(8, ge=1)
    encoder_kernel: int = Field(11, ge=1)
    context_noise: float = Field(0.1, ge=0)
    weight_coefficients: float = Field(1.0, ge=0)
    weight_vertices: float = Field(0.5, ge=0)
    weight_lips: float = Field(1.0, ge=0)
    weight_closure: float = Field(0.3, ge=0)
    weight_velocity: float = Field(1.0, ge=0)
    weight_smoothness: float = Field(0.02, ge=0)
    weight_phones: float = Field(0.5, ge=0)
    m2s_schedule: ListeningSchedule = "alpha"
    drop_speech: float = Field(0.1, ge=0, le=1)
    drop_emotion: float = Field(0.3, ge=0, le=1)
    drop_subject: float = Field(0.45, ge=0, le=1)

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"dim": 32, "num_layers": 1, "num_heads": 2, "encoder_dim": 32, "encoder_layers": 1, "encoder_kernel": 5,
                 "window": 40, "context": 5, "steps": 60, "batch_size": 4, "learning_rate": 2e-3, "warmup": 10,
                 "validate_every": 30},
        "small": {"dim": 192, "num_layers": 5, "num_heads": 4, "encoder_dim": 192, "encoder_layers": 5,
                  "encoder_kernel": 9, "steps": 8000, "learning_rate": 6e-4},
        "paper": {"steps": 200_000, "precision": "bf16-mixed"},
    }  # fmt: skip


def train_diffusion(
    dataset: Path,
    output: Path,
    config: TrainDiffusionConfig,
    *,
    m2s: Path | None = None,
    hubert: Path | None = None,
    lipreader: Path | None = None,
    speech_encoder: Path | None = None,
    speech_encoder_layer: int | None = None,
    encoder_from: Path | None = None,
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
        speech_encoder_layer: of that folder, from 1.
        encoder_from: another `thunder.diffusion`, whose speech encoder to begin with; its sizes take the place of the
            configured ones.
        weights_from: another `thunder.diffusion` of this head, to go on from; its sizes and its statistics take the place
            of the configured ones and the dataset's.

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
    if not resume:
        check_outputs(output, config, force=force, inputs=[dataset, m2s, lipreader, encoder_from, weights_from])
    check_state(state_path, resume=resume, force=force)
    chosen_device = resolve_device(device)
    network_of_folder = None
    if speech_encoder is not None:
        network_of_folder = load_pretrained(
            speech_encoder, layer=speech_encoder_layer, device=chosen_device, option="--speech-encoder"
        )
    with open_clips(dataset, "thunder.dataset") as file:
        record = file.head
        guidance = load_guidance(config, record, chosen_device, m2s=m2s, hubert=hubert, lipreader=lipreader)
        clips, fps = _load_clips(file, config, seed, progress)
        val_clips = load_training_clips(file, "val", progress)[0] if file.ids("val") else []
        del val_clips[_MAX_VALIDATION_CLIPS:]
        script, val_script = prepare_clips(guidance, file, clips, val_clips, fps, config, seed, progress)
        torch.manual_seed(seed)
        network = _build_network(config, clips, fps, record, network_of_folder, encoder_from, weights_from)
        encoder = network.speech_encoder
        if isinstance(encoder, FolderEncoder):
            read_sounds(clips + val_clips, file, encoder, progress)
    head = build_head(record)
    lips = region_indices(record, "lips")
    face = torch.randperm(len(record.template))[:_NUM_FACE_VERTICES]
    objective = DiffusionObjective(
        network,
        head,
        face=face,
        lips=lips,
        scales=measure_scales(network, head, clips, face=face, lips=lips),
        weights=DiffusionWeights(
            config.weight_coefficients,
            config.weight_vertices,
            config.weight_lips,
            config.weight_closure,
            config.weight_velocity,
            config.weight_smoothness,
            config.weight_phones,
        ),
        dropout=Dropout(config.drop_speech, config.drop_emotion, config.drop_subject),
        context_noise=config.context_noise,
        guidance=guidance,
        schedule=config.m2s_schedule,
        hidden_share=config.hidden_share,
    )
    shape = WindowShape(
        config.window, fps, config.context, network.speech_margin, sound_hz=encoder.rate_hz, silence=encoder.silence
    )
    emotion, intensity, subject = _conditions_of(clips, network.config)

    def draw(generator: torch.Generator) -> tuple[Any, ...]:
        batch = draw_windows(clips, shape, config.batch_size, generator, end_share=END_SHARE)
        told = [x[batch.clip].to(chosen_device) for x in (emotion, intensity, subject)]
        read = extracts_of(script, batch, generator, chosen_device, num_context=config.context)
        # The step has dice of its own: the next batch is drawn beside it.
        dice = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return batch.to(chosen_device), *told, dice, read

    def train_step(model: torch.nn.Module, drawn: tuple[Any, ...]) -> dict[str, Tensor]:
        return model(*drawn)

    val_told = _conditions_of(val_clips, network.config)

    def validate(model: torch.nn.Module) -> dict[str, float]:
        generator = torch.Generator().manual_seed(0)
        rows = []
        for index, clip in enumerate(val_clips):
            told = (x[index : index + 1].to(chosen_device) for x in val_told)
            window = replace(window_at(clip, 0, shape), clip=torch.tensor([index]))
            read = extracts_of(val_script, window, generator, chosen_device, num_context=config.context)
            rows.append(model(window.to(chosen_device), *told, generator, read))
        return mean_terms(rows)

    hashes = inputs_of_training(
        network_of_folder, weights_from, dataset=dataset, m2s=m2s, lipreader=lipreader, encoder_from=encoder_from
    )
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
        resume=resume,
        progress=progress,
    )
    averaged = {
        name.removeprefix("denoiser."): value for name, value in trained.weights.items() if name.startswith("denoiser.")
    }
    provenance = Provenance(seed, config.model_dump(), hashes)
    write_tuned_reader(output, guidance, trained, provenance)
    write_checkpoint(
        output, "thunder.diffusion", checkpoint_of(network, averaged, record, trained.curves), provenance, force=True
    )
    return summarise(
        trained,
        output,
        network,
        config,
        frames_per_step=config.batch_size * config.window,
        left_out=unread(script, val_script),
    )


def _load_clips(
    file: ClipFile, config: TrainDiffusionConfig, seed: int, progress: Progress
) -> tuple[list[TrainingClip], float]:
    """What is trained on, and its fps: as much as may be used, tracked as well as it should be."""
    clips, fps = load_training_clips(file, "train", progress, at_most=config.max_clips, seed=seed)
    if config.motion_noise > 0:
        mistrack(clips, config.motion_noise, fps, seed)
    return clips, fps


def _build_network(
    config: TrainDiffusionConfig,
    clips: list[TrainingClip],
    fps: float,
    record: HeadRecord,
    network_of_folder: PretrainedSpeech | None,
    encoder_from: Path | None,
    weights_from: Path | None,
) -> MotionDenoiser:
    """The denoiser for these clips, knowing their emotions and subjects and normalising by their statistics."""
    values = config.model_dump(include=set(MotionDenoiserConfig.model_fields))
    source, sizes = load_encoder(encoder_from)
    whole, sizes_of_all = load_denoiser(weights_from, record, fps)
    values |= sizes | values_of_folder(network_of_folder) | sizes_of_all
    network = MotionDenoiser(
        MotionDenoiserConfig(
            num_features=clips[0].motion.shape[1],
            fps=fps,
            emotions=tuple(sorted({clip.emotion for clip in clips})),
            subjects=tuple(sorted({clip.subject for clip in clips})),
            # Where no clip knows its phones, there is nothing to learn their names from.
            names_phones=config.weight_phones > 0 and any(bool((clip.phones != UNKNOWN).any()) for clip in clips),
            **values,
        ),
        network_of_folder,
    )
    normalise_by(clips, network)
    begin_with(network.speech_encoder, source, frozen=config.freeze_encoder)
    if whole is not None:
        go_on_from(network, whole)
        network.speech_encoder.requires_grad_(not config.freeze_encoder)
    return network


def _conditions_of(clips: list[TrainingClip], config: MotionDenoiserConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Emotion index, intensity and subject index of every clip, (clips,) each; 0 is "not told"."""
    emotions = {name: index for index, name in enumerate(config.emotions, start=1)}
    subjects = {name: index for index, name in enumerate(config.subjects, start=1)}
    return (
        torch.tensor([emotions.get(clip.emotion, 0) for clip in clips]),
        torch.tensor([clip.intensity for clip in clips], dtype=torch.float),
        torch.tensor([subjects.get(clip.subject, 0) for clip in clips]),
    )
