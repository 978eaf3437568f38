"""Remakes the shipped demo speech: `python -m stages.corpora.synthesis.demo_speech [FOLDER]`.

Writes `speech.wav`, `speech.txt` and `speech.phones.json` into FOLDER, `assets` by default. The speaker is set by hand and
is none of those that `thunder synthesize` draws; the text is ours: many closed lips, many rounded ones, one clear pause.
"""

import json
import sys
from pathlib import Path

from stages.audio.waveform import write_wav
from stages.corpora.synthesis.acoustics import RecordingSetup
from stages.corpora.synthesis.articulation import MouthStyle
from stages.corpora.synthesis.expression import draw_face_style
from stages.corpora.synthesis.performance import Performance, Person, perform
from stages.corpora.synthesis.voices import SAMPLE_RATE_HZ, Voice

TEXT = (
    "Bob's puppy ran past my father's farm, and jumped over a big blue boat. "
    "But who threw Mabel's wooden spoon into the pool? Maybe Pam would know."
)
_SEED = 20_261_120


def demo_speech() -> Performance:
    """The demo speech, the same samples each time."""
    import numpy as np

    formants = "formant 1 108 100 104\nformant 2 105 95 108\nformant 3 107 95 105"
    traits = f"pitch 148 208\n{formants}\nflutter 5\nbreath 0 1 2 2 2 2 2 1"
    voice = Voice(accent="en-us", traits=traits, speed_up=1.06, words_per_minute=158, liveliness=62)
    setup = RecordingSetup(
        breathiness_db=-32,
        inhalation_db=-40,
        tone_db=(0, 1, 1, 0, 0, 1, 1, 0),
        low_cut_hz=60,
        high_cut_hz=7800,
        reverberation_s=0.18,
        direct_to_reverberant_db=16,
        noise_slope_db=-4,
        signal_to_noise_db=48,
        telephone=False,
    )
    person = Person(voice, MouthStyle(), draw_face_style(np.random.default_rng(_SEED)), setup)
    return perform(TEXT, person, (_SEED,), 25.0)


def write_demo_speech(folder: Path) -> None:
    """Writes the three files of the demo speech into a folder."""
    demo = demo_speech()
    write_wav(folder / "speech.wav", demo.waveform, SAMPLE_RATE_HZ)
    (folder / "speech.txt").write_text(TEXT + "\n", encoding="utf-8")
    phones = json.dumps(demo.phones.as_records(), indent=1) + "\n"
    (folder / "speech.phones.json").write_text(phones, encoding="utf-8")


if __name__ == "__main__":
    write_demo_speech(Path(sys.argv[1] if len(sys.argv) > 1 else "assets"))
