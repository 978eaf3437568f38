"""Who may judge samples: no model that had a part in making them."""

from pathlib import Path

from stages.artifacts.clips import ClipFile
from stages.artifacts.files import read_json_attribute
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import sha256_of_file

# What a mesh-to-speech model may have done for samples, by the name that their inputs keep it under.
_PARTS = {
    "supervised_by": "supervised the model that made",
    "selected_by": "chose among the takes of",
    "guided_by": "guided the sampling of",
}


def check_disinterested(m2s_path: Path, samples: ClipFile) -> None:
    """Refuses a model that had a part in what it would judge: motion can be made to please its judge."""
    inputs = read_json_attribute(samples.file, "inputs")
    own = sha256_of_file(m2s_path)
    for key, part in _PARTS.items():
        if inputs.get(key) == own:
            raise ThunderError(
                f"{m2s_path}: {part} {samples.path}, so that it flatters it; judge with another, made with "
                f"`thunder train-m2s --seed 100 -o judge.h5`, or give --same-judge"
            )
