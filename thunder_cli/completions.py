"""What the shell offers at the Tab key where a value is one of a few names.

The names are written down here, as to ask the stages for them would load torch at every press; a test holds them equal.
"""

from collections.abc import Callable

PRESETS = ("tiny", "small", "paper")
DEVICES = ("auto", "cpu", "cuda", "mps")
SPLITS = ("train", "val", "test")
SAMPLERS = ("ddim", "dpm-solver")
# A model may know others: these are of the corpus that `thunder synthesize` writes.
EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised")
# What stands for the emotion of each clip.
OWN = "own"
METRICS = (
    "lve", "mve", "fdd", "l-pcc", "l-ccc", "dtw", "closure-rate", "s-div", "jitter", "cer", "ver", "m2s-mel", "m2s-units",
    "m2s-cer", "speed",
)  # fmt: skip
LAYOUTS = ("arkit", "flame", "meshes", "biwi", "vocaset", "vocaset-processed")
ENGINES = ("espeak", "flite", "festival")
LANGUAGES = ("en", "de", "es", "fr", "it", "zh")
M2S_INPUTS = ("mouth2s", "face2s", "exp2s")


def one_of(names: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Offers the names that begin as what was typed."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def some_of(names: tuple[str, ...]) -> Callable[[str], list[str]]:
    """The same of the last of several names with commas between them; none is offered twice."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [before + comma + name for name in names if name.startswith(last) and name not in taken]

    return complete
