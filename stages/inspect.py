"""What an artifact holds: its provenance, its groups and arrays with shape, axes and unit, and pages and pictures of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.artifacts.files import check_output, explained_damage, read_artifact
from stages.artifacts.listing import Entry, list_entries, root_attributes
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np

    from stages.pages.figures_of_metrics import Figures
    from stages.pages.page import Page
    from stages.pages.pictures import Portrait

_CLIPS = ("thunder.dataset", "thunder.samples")
_WITHOUT_PAGE = ("thunder.head", "thunder.training")


@dataclass(frozen=True)
class Description:
    """What `describe_artifact` found."""

    path: Path
    attributes: dict[str, Any]
    entries: list[Entry]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"path": str(self.path), "attributes": self.attributes, "entries": [asdict(e) for e in self.entries]}


def describe_artifact(path: Path, *, depth: int = 2) -> Description:
    """Reads what an artifact is, what made it, and what it holds.

    Args:
        path: any artifact of the toolkit.
        depth: levels of groups to list; groups below are counted.

    Raises:
        ThunderError: not an artifact of this toolkit.
    """
    with read_artifact(path) as file, explained_damage(path):
        return Description(path, root_attributes(file), list(list_entries(file, depth)))


def report_artifact(path: Path, output: Path, *, force: bool = False, progress: Progress = silent) -> None:
    """Writes a page of what an artifact holds: of clips, of a model and its training, or of metrics.

    Args:
        path: any artifact but a head or an interrupted training.
        output: HTML file to write.
        force: replace an output that exists.

    Raises:
        ThunderError: not such an artifact, a damaged one, or an output that exists.
    """
    from stages.pages.page import write_page

    check_output(output, force=force, inputs=[path])
    write_page(output, _page(path, progress), force=force)


def _page(path: Path, progress: Progress) -> "Page":
    from stages.artifacts.checkpoint import read_checkpoint
    from stages.artifacts.clips import open_clips
    from stages.pages.clips_page import clips_page
    from stages.pages.metrics_page import metrics_page
    from stages.pages.model_page import model_page

    attributes = describe_artifact(path, depth=1).attributes
    schema = str(attributes["schema"])
    if schema in _WITHOUT_PAGE:
        raise ThunderError(f"{path}: {schema}, of which there is no page; give a dataset, samples, a model or metrics")
    if schema in _CLIPS:
        with open_clips(path) as clips:
            return clips_page(clips, attributes, progress)
    if schema == "thunder.metrics":
        return metrics_page(path, _figures(path), attributes)
    return model_page(path, read_checkpoint(path, schema), attributes)


def _figures(path: Path) -> "list[Figures]":
    from stages.artifacts.metrics_file import read_comparison, read_metrics
    from stages.pages.figures_of_metrics import Figures

    with read_artifact(path) as file, explained_damage(path):
        first = str(file["samples"].attrs["first"]) if "samples" in file else None
    if first is None:
        return [Figures(path.stem, read_metrics(path))]
    found = {label: Figures(label, *both) for label, both in read_comparison(path).items()}
    return sorted(found.values(), key=lambda one: one.label != first)


def portraits_of_artifact(path: Path, *, count: int, height: int) -> "Sequence[Portrait]":
    """A few of the heads in a dataset or in samples, with their mouths open; a head file's at rest; none of other artifacts.

    Args:
        count: at most so many.
        height: of a picture, pixels.

    Raises:
        ThunderError: not an artifact, a damaged one, or broken motion.
    """
    from stages.artifacts.clips import open_clips

    schema = describe_artifact(path, depth=1).attributes["schema"]
    if schema in _CLIPS:
        from stages.pages.pictures import portraits

        with open_clips(path) as clips:
            return portraits(clips, count, height)
    if schema == "thunder.head":
        from stages.heads.head import read_head_file
        from stages.pages.pictures import portrait_of_head

        return [portrait_of_head(read_head_file(path), height)]
    return []


def curves_of_artifact(path: Path) -> "dict[str, np.ndarray]":
    """Name -> (n, 2) of step and value, of all that was noted while a model was trained; nothing of other artifacts.

    Raises:
        ThunderError: not an artifact, or a damaged one.
    """
    with read_artifact(path) as file, explained_damage(path):
        group = file.get("training/curves", {})
        return {name: group[name][()] for name in group}
