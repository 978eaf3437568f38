"""The frozen models that judge faces: one listens, one reads what is heard, one reads lips; none had a part in making them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from stages.artifacts.clips import ClipFile
from stages.artifacts.files import inputs_of, read_json_attribute
from stages.metrics.catalogue import Need
from stages.metrics.lip_readability import LipJudge
from stages.metrics.readability import num_characters, unreadable
from stages.models.characters import normalise_text
from stages.models.lip_reader import VIDEO_RATE_HZ, LipReader, load_lip_reader
from stages.models.mesh_to_speech import MeshToSpeech, check_same_face, load_mesh_to_speech
from stages.models.recogniser import Recogniser, load_recogniser
from stages.models.vocoder import Vocoder, check_same_ears, load_vocoder
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import sha256_of_file

Model = TypeVar("Model")

# What a model may have done for samples, by the name that their inputs keep it under.
_PARTS = {
    "supervised_by": "supervised the model that made",
    "supervised_by_lipreader": "supervised the model that made",
    "selected_by": "chose among the takes of",
    "guided_by": "guided the sampling of",
}

NO_LIP_READER = "needs a lip reader; give --lipreader lipreader.h5, made with `thunder train-lipreader`"


@dataclass
class Judges:
    """The models, each None until it is let in, with its file.

    Attributes:
        lacks: what is not there, and how to come by it.
        unread: why lips of some clips are not read, and of which.
    """

    device: torch.device
    m2s: MeshToSpeech | None = None
    m2s_path: Path | None = None
    recogniser: Recogniser | None = None
    recogniser_path: Path | None = None
    vocoder: Vocoder | None = None
    vocoder_path: Path | None = None
    lips: LipJudge | None = None
    lip_reader_path: Path | None = None
    unread: dict[str, list[str]] = field(default_factory=dict)
    lacks: dict[Need, str] = field(
        default_factory=lambda: {
            "m2s": "needs a mesh-to-speech model; give --m2s judge.h5, made with `thunder train-m2s`",
            "recogniser": "needs a recogniser; give --recogniser recogniser.h5, made with `thunder train-recogniser`",
            "lipreader": NO_LIP_READER,
        }
    )

    def listen(
        self, paths: Sequence[Path], files: Sequence[ClipFile], hubert: Path | None, *, same_judge: bool
    ) -> None:
        """Lets a mesh-to-speech model listen: the first that fits all files.

        Raises:
            ThunderError: none does; says why the first does not.
        """

        def fit(path: Path) -> MeshToSpeech:
            model, head = load_mesh_to_speech(path, self.device, hubert=hubert)
            for file in files:
                check_same_face(head, file.head, model.config.input, path)
            return model

        self.m2s_path, self.m2s = _first_that_may(paths, files, fit, "train-m2s", same_judge=same_judge)
        del self.lacks["m2s"]

    def read_speech(self, path: Path, transcripts: Mapping[str, str], samples_path: Path) -> None:
        """Lets a recogniser read what is heard.

        Args:
            transcripts: of every clip, empty where there is none.

        Raises:
            ThunderError: not such a model, or there is no transcript that it could write.
        """
        recogniser = load_recogniser(path, self.device)
        told = _told(transcripts, samples_path)
        strange = {clip_id: unreadable(recogniser, text) for clip_id, text in told.items()}
        if all(strange.values()):
            clip_id, characters = next(iter(strange.items()))
            raise ThunderError(
                f"{path}: cannot write {characters!r} of clip {clip_id}, nor any other transcript of {samples_path}; train "
                f"one on this language with `thunder train-recogniser`"
            )
        self.recogniser, self.recogniser_path = recogniser, path
        del self.lacks["recogniser"]

    def speak(self, path: Path) -> None:
        """Lets a vocoder make sound of what is heard, for the recogniser.

        Raises:
            ThunderError: not such a model, one made for another listener, or nobody there whom it would speak for.
        """
        if self.m2s is None or self.m2s_path is None or self.recogniser is None:
            reason = self.lacks.get("m2s") or self.lacks.get("recogniser") or "needs a recogniser"
            raise ThunderError(f"--vocoder {path}: speaks for a recogniser what is heard: {reason}")
        vocoder = load_vocoder(path, self.device)
        check_same_ears(vocoder, self.m2s, path, self.m2s_path)
        self.vocoder, self.vocoder_path = vocoder, path

    def read_lips(
        self,
        paths: Sequence[Path],
        files: Sequence[ClipFile],
        transcripts: Mapping[str, str],
        judge_of: Callable[[LipReader], LipJudge],
        *,
        same_judge: bool,
    ) -> None:
        """Lets a lip reader read the faces: the first that may and can.

        Args:
            judge_of: what gives a reader the pictures it reads, and the pronunciation of texts.

        Raises:
            ThunderError: none can; says why the first does not.
        """
        told = _told(transcripts, files[0].path)

        def fit(path: Path) -> tuple[LipJudge, dict[str, list[str]]]:
            reader = load_lip_reader(path, self.device)
            if reader.config.streams == "sound":
                raise ThunderError(f"{path}: reads sound alone, no lips; give one that reads pictures, or both")
            unread = _unread(reader, files, transcripts)
            if not set(transcripts) - {clip_id for ids in unread.values() for clip_id in ids}:
                reason, clip_id = next((reason, ids[0]) for reason, ids in unread.items() if ids[0] in told)
                raise ThunderError(
                    f"{path}: cannot be compared with any transcript of {files[0].path}: clip {clip_id}: {reason}; train "
                    f"one on such clips with `thunder train-lipreader`"
                )
            return judge_of(reader), unread

        self.lip_reader_path, (self.lips, self.unread) = _first_that_may(
            paths, files, fit, "train-lipreader", same_judge=same_judge
        )
        del self.lacks["lipreader"]

    def lips_of(self, clip_id: str) -> LipJudge | None:
        """Who reads a clip's lips, if anybody can."""
        return None if any(clip_id in ids for ids in self.unread.values()) else self.lips


def _first_that_may(
    paths: Sequence[Path], files: Sequence[ClipFile], fit: Callable[[Path], Model], command: str, *, same_judge: bool
) -> tuple[Path, Model]:
    """The first model that had no part in any of the files and that `fit` takes.

    Raises:
        ThunderError: there is none; says why the first is not taken.
    """
    refusals: list[ThunderError] = []
    for path in paths:
        try:
            model = fit(path)
            if not same_judge:
                for file in files:
                    _check_disinterested(path, file, command)
        except ThunderError as error:
            refusals.append(error)
        else:
            return path, model
    raise refusals[0]


def _check_disinterested(path: Path, samples: ClipFile, command: str) -> None:
    """Refuses a model that had a part in what it would judge, or that was tuned from such: motion can please its judge."""
    inputs = read_json_attribute(samples.file, "inputs")
    own = {sha256_of_file(path), inputs_of(path, "thunder.m2s", "thunder.lipreader").get("lipreader")}
    for key, part in _PARTS.items():
        if key in inputs and inputs[key] in own:
            raise ThunderError(
                f"{path}: {part} {samples.path}, so that it flatters it; judge with another, made with "
                f"`thunder {command} --seed 100 -o judge.h5`, or give --same-judge"
            )


def _told(transcripts: Mapping[str, str], samples_path: Path) -> dict[str, str]:
    """The clips that have a transcript."""
    told = {clip_id: text for clip_id, text in transcripts.items() if num_characters(text)}
    if not told:
        raise ThunderError(
            f"{samples_path}: no clip has a transcript to compare with; give each sound its text, in <name>.txt beside it, "
            f"and sample again"
        )
    return told


def _unread(reader: LipReader, files: Sequence[ClipFile], transcripts: Mapping[str, str]) -> dict[str, list[str]]:
    """Why lips of some clips cannot be read and compared -> those clips."""
    found: dict[str, list[str]] = {}
    for clip_id, text in transcripts.items():
        longest_s = max((s.num_frames - 1) / s.fps for s in (file.summary(clip_id) for file in files))
        reason = why_unread(reader, text, longest_s)
        if reason:
            found.setdefault(reason, []).append(clip_id)
    return found


def why_unread(reader: LipReader, text: str, last_frame_s: float) -> str:
    """Why a clip cannot be read and compared with its transcript; empty where it can."""
    strange = sorted(_strange(reader, text))
    if not num_characters(text):
        return "no transcript"
    if strange:
        return f"the lip reader cannot write {''.join(strange)!r}"
    if int(last_frame_s * VIDEO_RATE_HZ + 1e-6) + 1 > reader.config.max_frames:
        return f"longer than the {reader.config.max_frames / VIDEO_RATE_HZ:g} s that the lip reader was built for"
    return ""


def _strange(reader: LipReader, text: str) -> Collection[str]:
    return set(normalise_text(text)) - set(reader.config.characters)
