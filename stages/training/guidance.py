"""Who checks what an animator in training makes: a mesh-to-speech model that hears it, a lip reader that reads it, or both."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import ClipFile
from stages.artifacts.files import check_output
from stages.artifacts.head_record import HeadRecord
from stages.heads.head import Head, build_head
from stages.losses.audio_consistency import audio_consistency
from stages.models.lip_reader import checkpoint_of, load_lip_reader
from stages.models.mesh_to_speech import MeshToSpeech, check_same_face, load_mesh_to_speech
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance
from stages.training.clips_in_memory import TrainingClip, name_units
from stages.training.lip_expert import LipExpert
from stages.training.loop import LoopConfig, Trained
from stages.training.spoken_words import Extracts, Script, check_reads_both, check_some_words, find_words
from stages.training.windows import WindowBatch

# Share of its whole weight under which nobody listens or reads while training: a third of all windows that are denoised.
_LEAST_ASKED = 0.15
# Parameters of a lip reader that learns along, in an objective that keeps its guidance under that name.
_TUNED = "guidance.expert.tuned."


class GuidanceConfig(LoopConfig):
    """Configuration of every training that others may check.

    Attributes:
        weight_m2s: of `audio_consistency`; `weight_m2s_*` of its parts.
        weight_lipreader: of what the lips are read as, in nats a character, and `weight_lipreader_ctc`,
            `weight_lipreader_attention` of its parts; Han et al. have .1 and .9 for the parts, and a whole weight that belongs
            to other units.
        lipreader_input: `av` reads the lips beside the speech, `video` the lips alone.
        lipreader_windows: windows of each batch that are read, drawn at random: drawing lips costs more than all else. They
            stand for all of the batch.
        lipreader_crops: of each of them, the most crops in a row, 25 a second, that are read.
        tune_expert: the lip reader learns along, from true faces, and is written beside the model.
        forget_prior: it learns along from nothing: of what the lip reader knows only its sizes are kept, and when it heard
            each word.
        expert_pace: learning rate of a lip reader that learns along, as a share of `learning_rate`; 1 is published. By
            default a tenth of it, which leaves a prior standing, or all of it where there is none.
    """

    weight_m2s: float = Field(0.1, ge=0)
    weight_m2s_features: float = Field(0.0, ge=0)
    weight_m2s_mel: float = Field(1.0, ge=0)
    weight_m2s_units: float = Field(1.0, ge=0)
    weight_lipreader: float = Field(0.1, ge=0)
    weight_lipreader_ctc: float = Field(0.1, ge=0)
    weight_lipreader_attention: float = Field(0.9, ge=0)
    lipreader_input: Literal["av", "video"] = "av"
    lipreader_windows: int = Field(2, ge=1)
    lipreader_crops: int = Field(40, ge=1)
    tune_expert: bool = False
    forget_prior: bool = False
    expert_pace: float | None = Field(None, gt=0)

    def pace(self, name: str) -> float:
        """The share of the learning rate that a parameter of an objective with a `guidance` learns at."""
        if not name.startswith(_TUNED):
            return 1.0
        return self.expert_pace or (1.0 if self.forget_prior else 0.1)


@dataclass(frozen=True)
class GuidanceWeights:
    """As in `GuidanceConfig`. The three of what is heard (mel, units and the judge's features) multiply
    `audio_consistency`, the two of what is read `lips_read`."""

    audio_consistency: float = 0.1
    audio_features: float = 0.0
    audio_mel: float = 1.0
    audio_units: float = 1.0
    lips_read: float = 0.1
    lips_ctc: float = 0.1
    lips_attention: float = 0.9

    @classmethod
    def of(cls, config: GuidanceConfig) -> "GuidanceWeights":
        """The weights of a configuration."""
        return cls(
            config.weight_m2s,
            config.weight_m2s_features,
            config.weight_m2s_mel,
            config.weight_m2s_units,
            config.weight_lipreader,
            config.weight_lipreader_ctc,
            config.weight_lipreader_attention,
        )


class Guidance(nn.Module):
    """What the others say of a batch of windows. Only a lip reader that is tuned is a part of what is trained.

    Args:
        head: whose motion is heard.
        judge: a frozen mesh-to-speech model, or None.
        expert: who reads, or None.
        num_read: windows of a batch that are read while training; all that hold words where it is not trained.
    """

    def __init__(
        self,
        head: Head,
        weights: GuidanceWeights,
        *,
        judge: MeshToSpeech | None = None,
        expert: LipExpert | None = None,
        num_read: int = 2,
    ) -> None:
        super().__init__()
        self.head = head
        self.weights = weights
        self.expert = expert
        self.num_read = num_read
        # In a tuple, so that the frozen judge is not a part of what is trained and saved.
        self._judge = (judge,)

    @property
    def judge(self) -> MeshToSpeech | None:
        """The mesh-to-speech model."""
        return self._judge[0]

    def forward(
        self,
        motion: Tensor,
        true_motion: Tensor,
        fps: float,
        batch: WindowBatch,
        extracts: Extracts | None,
        asked: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What to add to the loss of each window (B,), and terms by name.

        Args:
            motion: (B, T, D) that was generated, without context, not normalised; `true_motion` that of the clips.
            batch: what was said; `extracts` of it, the runs of words that can be read.
            asked: (B,) 0 to 1, how much is asked of each window.
        """
        # Where hardly anything is asked, it would cost as much as elsewhere and teach next to nothing.
        heeded = asked >= (_LEAST_ASKED if self.training else 0.0)
        total = torch.zeros_like(asked)
        terms: dict[str, Tensor] = {}
        for added, found in (
            self._hear(motion, true_motion, fps, batch, asked, heeded),
            self._read(motion, true_motion, extracts, asked, heeded, generator),
        ):
            total, terms = total + added, terms | found
        return total, terms

    def _hear(
        self, motion: Tensor, true_motion: Tensor, fps: float, batch: WindowBatch, asked: Tensor, heeded: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        total, weights = torch.zeros_like(asked), self.weights
        (rows,) = torch.where(heeded)
        if self.judge is None or weights.audio_consistency == 0 or not len(rows):
            return total, {}
        heard = audio_consistency(
            self.judge,
            self.head,
            motion[rows],
            fps,
            log_mel=batch.log_mel[rows],
            units=batch.units[rows],
            mask=batch.mel_mask[rows],
            true_motion=true_motion[rows] if weights.audio_features > 0 else None,
        )
        value = heard.total(
            mel_weight=weights.audio_mel, unit_weight=weights.audio_units, feature_weight=weights.audio_features
        )
        total = total.index_add(0, rows, weights.audio_consistency * asked[rows] * value)
        return total, {"audio_mel": heard.mel, "audio_units": heard.units, "unit_accuracy": heard.unit_accuracy}

    def _read(
        self,
        motion: Tensor,
        true_motion: Tensor,
        extracts: Extracts | None,
        asked: Tensor,
        heeded: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        total, weights = torch.zeros_like(asked), self.weights
        if self.expert is None or weights.lips_read == 0 or extracts is None:
            return total, {}
        (rows,) = torch.where(heeded[extracts.window])
        order = torch.randperm(len(extracts), generator=generator).to(rows.device)
        if not len(rows):
            return total, {}
        # Drawn from those that are heeded, and standing for them.
        chosen = order[torch.isin(order, rows)][: self.num_read if self.training else None]
        stands_for = len(rows) / len(chosen)
        some = extracts.take(chosen)
        parts = {"ctc_weight": weights.lips_ctc, "attention_weight": weights.lips_attention}
        read = self.expert.judge(motion, some)
        share = weights.lips_read * stands_for * asked[some.window]
        total = total.index_add(0, some.window, share * read.total(**parts))
        terms = {"lips_ctc": read.ctc, "lips_attention": read.attention}
        if self.expert.tuned is not None and self.training:
            true = self.expert.learn(true_motion, some)
            total = total.index_add(0, some.window, weights.lips_read * stands_for * true.total(**parts))
            terms |= {"true_lips_ctc": true.ctc, "true_lips_attention": true.attention}
        return total, terms


def load_guidance(
    config: GuidanceConfig,
    record: HeadRecord,
    device: torch.device,
    *,
    m2s: Path | None = None,
    hubert: Path | None = None,
    lipreader: Path | None = None,
) -> Guidance:
    """Loads who checks, if anyone does.

    Raises:
        ThunderError: not such models, an M2S model of another head, a head without lips, or an option that nobody is there
            for.
    """
    judge = expert = None
    head = build_head(record).to(device)
    if m2s is not None:
        judge, judged_head = load_mesh_to_speech(m2s, device, hubert=hubert)
        check_same_face(judged_head, record, judge.config.input, m2s)
    if config.forget_prior and not config.tune_expert:
        raise ThunderError("--forget-prior wants a lip reader that learns anew; give --tune-expert too")
    if lipreader is not None:
        reader = load_lip_reader(lipreader, device)
        check_reads_both(reader, lipreader)
        expert = LipExpert(reader, head, heard=config.lipreader_input == "av", tuned=config.tune_expert)
    elif config.tune_expert:
        raise ThunderError("--tune-expert wants a lip reader to tune; give --lipreader lipreader.h5")
    return Guidance(head, GuidanceWeights.of(config), judge=judge, expert=expert, num_read=config.lipreader_windows)


def prepare_clips(
    guidance: Guidance,
    file: ClipFile,
    clips: list[TrainingClip],
    val_clips: list[TrainingClip],
    fps: float,
    config: GuidanceConfig,
    seed: int,
    progress: Progress = silent,
) -> tuple[Script | None, Script | None]:
    """Finds what those who check ask for: the units of every clip, and the words of training and validation clips.

    Raises:
        ThunderError: no training clip can be read.
    """
    if guidance.judge is not None:
        name_units(clips + val_clips, file, guidance.judge, progress)
    expert = guidance.expert
    if expert is None:
        return None, None
    script, val_script = (
        find_words(some, file, expert.reader, fps, most_crops=config.lipreader_crops, progress=progress)
        for some in (clips, val_clips)
    )
    check_some_words(script, file)
    if config.forget_prior:
        expert.forget(seed)
    return script, val_script


def unread(*scripts: Script | None) -> dict[str, list[str]]:
    """Reason -> ids of the training and validation clips that are not read."""
    together: dict[str, list[str]] = defaultdict(list)
    for script in scripts:
        for reason, ids in ({} if script is None else script.left_out).items():
            together[reason] += ids
    return dict(together)


def beside(output: Path) -> Path:
    """Where the tuned lip reader of a model is written: `animator.lipreader.h5`."""
    return output.with_suffix(".lipreader.h5")


def check_outputs(output: Path, config: GuidanceConfig, *, force: bool, inputs: Sequence[Path | None]) -> None:
    """Refuses early a model, or a tuned lip reader beside it, that cannot be written; see `check_output`."""
    for path in (output, beside(output)) if config.tune_expert else (output,):
        check_output(path, force=force, inputs=inputs)


def write_tuned_reader(output: Path, guidance: Guidance, trained: Trained, provenance: Provenance) -> None:
    """Writes the averaged weights of a lip reader that learned along, if one did; `output` is the model's."""
    expert = guidance.expert
    if expert is None or expert.tuned is None:
        return
    weights = {name.removeprefix(_TUNED): value for name, value in trained.weights.items() if name.startswith(_TUNED)}
    curves = {name: points for name, points in trained.curves.items() if "lips_" in name}
    write_checkpoint(
        beside(output),
        "thunder.lipreader",
        checkpoint_of(expert.tuned, weights, curves),
        provenance,
        force=True,
    )
