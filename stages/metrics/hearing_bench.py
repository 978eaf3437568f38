"""Test clips on which hearers are compared: each is measured on the same clips by the same figures."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.audio.griffin_lim import griffin_lim
from stages.audio.log_mel import speech_log_mel
from stages.audio.waveform import to_int16
from stages.metrics.hearers import Estimate, Hearer, compare
from stages.metrics.hearing_table import HearingTable
from stages.metrics.intelligibility import intelligibility
from stages.metrics.judged_clips import JudgedClip
from stages.metrics.phone_confusions import UNKNOWN, count_confusions, phones_of_units, tally
from stages.metrics.readability import character_error_rate, num_characters, unreadable
from stages.metrics.reconstruction import MelScale
from stages.models.recogniser import Recogniser, read_speech, write_down

# Metric -> unit, in the order of the table's columns.
METRICS = {
    "mel": "sd",
    "mel-db": "dB",
    "convergence": "1",
    "units": "1",
    "units-sounding": "1",
    "stoi": "1",
    "estoi": "1",
    "cer": "1",
    "phones": "1",
    "viseme-mistakes": "1",
    "viseme-mistakes-chance": "1",
}
# Of mistakes, neither more nor fewer that look alike are better: a hearer that makes none has no share of them.
BETTER = dict.fromkeys(("mel", "mel-db", "convergence", "cer"), "less") | dict.fromkeys(
    ("units", "units-sounding", "stoi", "estoi", "phones"), "more"
)
OF_MEL = {"mel", "mel-db", "convergence"}
OF_UNITS = {"units", "units-sounding"}
OF_SOUND = {"stoi", "estoi"}
OF_PHONES = {"phones", "viseme-mistakes", "viseme-mistakes-chance"}

# (clip, what is heard of it) -> waveform (S,), 16 kHz.
Speaker = Callable[[JudgedClip, Estimate], Tensor]


def griffin_lim_speaker(clip: JudgedClip, heard: Estimate) -> Tensor:
    """Sound of the mel alone, by Griffin and Lim's iterations."""
    return griffin_lim(heard.log_mel)


@dataclass
class HearingBench:
    """The clips, and what is found of whoever hears them.

    Attributes:
        test: the clips.
        train: clips of other people, which tell what phones a unit stands for.
        scale: in which distances of mels are told.
        audible: indices of the clips that are made audible.
        table: where figures are kept.
        recogniser: reads what is heard, where there is one.
        confusions: row -> how often each phone was taken for which, (P, P), over seeds and clips.
    """

    test: Sequence[JudgedClip]
    train: Sequence[JudgedClip]
    scale: MelScale
    audible: frozenset[int]
    table: HearingTable
    recogniser: Recogniser | None = None
    confusions: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def listen(
        self,
        row: str,
        seed: int,
        hear: Hearer,
        centroids: Tensor,
        *,
        shown: Sequence[JudgedClip] | None = None,
        only: Collection[str] = METRICS.keys(),
    ) -> None:
        """Notes what `hear` hears in each clip, held against the clip's speech.

        Phones are named by the recogniser, or else by what phones the units that are heard stand for in training speech.

        Args:
            row: under which the figures are kept, and `seed`.
            centroids: (K, C) of the units that `hear` names.
            shown: clips to hear in the place of the test clips.
            only: the metrics to measure.
        """
        wanted = set(only)
        phones_of = self._phones_of(centroids) if wanted & OF_PHONES else None
        counts = []
        for k, clip in enumerate(self.test):
            heard = hear(clip if shown is None else shown[k])
            figures, weights, named = compare(clip, heard, centroids, self.scale), {}, None
            if k in self.audible and wanted & OF_SOUND:
                figures |= intelligibility(griffin_lim_speaker(clip, heard), clip.waveform)._asdict()
            if self.recogniser is not None and wanted & {"cer", *OF_PHONES}:
                figures["cer"], named = self._read(heard.log_mel, clip)
                weights["cer"] = float(num_characters(clip.transcript))
            if phones_of is not None:
                named = (heard.unit_scores.softmax(-1) @ phones_of).argmax(-1) if named is None else named
                length = min(len(named), len(clip.phones))
                counts.append(count_confusions(clip.phones[:length], named[:length].cpu().numpy()))
            self.table.note(row, seed, k, {name: figures[name] for name in figures.keys() & wanted}, weights)
        if counts:
            self._note_phones(row, seed, np.stack(counts))

    def listen_to_sound(self, row: str, seed: int, hear: Hearer, speak: Speaker) -> None:
        """Notes how intelligible the audible clips are as `speak` speaks what `hear` hears, and how well they are read."""
        for k in sorted(self.audible):
            clip = self.test[k]
            sound = speak(clip, hear(clip)).float().cpu()
            figures = dict(intelligibility(sound, clip.waveform)._asdict())
            if self.recogniser is not None:
                figures["cer"], _ = self._read(speech_log_mel(torch.from_numpy(to_int16(sound.numpy()))), clip)
            self.table.note(row, seed, k, figures, {"cer": float(num_characters(clip.transcript))})

    def _read(self, log_mel: Tensor, clip: JudgedClip) -> tuple[float, Tensor]:
        """Character error rate of (L, 80), NaN where the recogniser cannot write the transcript; and phones (L / 2,)."""
        assert self.recogniser is not None
        reading = read_speech(self.recogniser, log_mel[None].to(self.recogniser.mel_mean.device))
        phones = reading.phones[0].argmax(-1)
        if unreadable(self.recogniser, clip.transcript):
            return math.nan, phones
        return character_error_rate(clip.transcript, write_down(self.recogniser, reading.characters)), phones

    def _phones_of(self, centroids: Tensor) -> Tensor | None:
        """How likely each phone is where a unit is heard, (K, P); None where the training clips have no phones."""
        units = np.concatenate([clip.units(centroids).numpy() for clip in self.train])
        phones = np.concatenate([clip.phones for clip in self.train])
        if (phones == UNKNOWN).all():
            return None
        return torch.from_numpy(phones_of_units(units, phones, len(centroids))).float()

    def _note_phones(self, row: str, seed: int, counts: NDArray[np.int64]) -> None:
        """Notes the confusions (C, P, P) of every clip."""
        self.confusions[row] = self.confusions.get(row, 0) + counts.sum(0)
        found = tally(counts)
        for k in range(len(counts)):
            weights = {
                "phones": found.frames[k],
                "viseme-mistakes": found.mistakes[k],
                "viseme-mistakes-chance": found.mistakes[k],
            }
            parts = (found.right[k], found.alike[k], found.alike_by_chance[k])
            figures = {
                name: float(part / weight) if weight else math.nan
                for part, (name, weight) in zip(parts, weights.items(), strict=True)
            }
            self.table.note(row, seed, k, figures, {name: float(weight) for name, weight in weights.items()})
