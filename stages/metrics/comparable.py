"""What may be compared: the same vertices, the same clips, at the same rate, as long as each other."""

import math
from collections.abc import Sequence
from pathlib import Path

from stages.artifacts.clips import ClipFile, ClipSummary
from stages.metrics.catalogue import region_hash
from stages.runtime.errors import ThunderError

# Sampling rounds a duration up or down to whole frames; more than this is another recording.
_MAX_TRIMMED_FRAMES = 2


def check_same_head(samples: ClipFile, other: ClipFile) -> None:
    """Refuses files whose vertices do not correspond.

    Raises:
        ThunderError: heads of another topology, order or unit.
    """
    ours, theirs = samples.head, other.head
    if ours.fingerprint != theirs.fingerprint or ours.units != theirs.units:
        raise ThunderError(
            f"{samples.path} is of head {ours.name} ({ours.fingerprint}, {ours.units}), {other.path} of "
            f"{theirs.name} ({theirs.fingerprint}, {theirs.units}): vertices do not correspond; compare files of the same "
            f"head"
        )


def check_same_timing(ours: ClipSummary, theirs: ClipSummary, samples_path: Path, *, cut: bool = True) -> None:
    """Refuses a clip of another rate or length than its truth.

    Args:
        cut: whether both are cut to the shorter where they differ little; without, only samples are ever cut.

    Raises:
        ThunderError: the rates differ, or the lengths by more than rounding explains.
    """
    if not math.isclose(ours.fps, theirs.fps, rel_tol=1e-4):
        raise ThunderError(
            f"clip {ours.id}: {samples_path} has {ours.fps:g} fps, the reference {theirs.fps:g}; sample at the rate of the "
            f"reference"
        )
    if not cut and ours.num_frames < theirs.num_frames:
        raise ThunderError(
            f"clip {ours.id}: {samples_path} has {ours.num_frames} frames, the reference {theirs.num_frames}; CodeTalker's "
            f"script wants at least as many; leave --convention out to cut the reference"
        )
    if cut and abs(ours.num_frames - theirs.num_frames) > _MAX_TRIMMED_FRAMES:
        raise ThunderError(
            f"clip {ours.id}: {samples_path} has {ours.num_frames} frames, the reference {theirs.num_frames}; wanted the "
            f"same, up to {_MAX_TRIMMED_FRAMES}: is it another recording of that name?"
        )


def check_same_clips(files: Sequence[ClipFile]) -> None:
    """Refuses samples that cannot stand in one table: of another head, of other clips, rates or texts.

    Raises:
        ThunderError: says which files and what differs.
    """
    first = files[0]
    for other in files[1:]:
        check_same_head(first, other)
        alone = [(clip_id, first) for clip_id in first if clip_id not in other]
        alone += [(clip_id, other) for clip_id in other if clip_id not in first]
        if alone:
            raise ThunderError(
                f"{first.path} and {other.path} are not of the same clips: {len(alone)} are in one alone, such as "
                f"{alone[0][0]} of {alone[0][1].path}; sample the same clips for all"
            )
        for clip_id in first:
            _check_same_clip(first.summary(clip_id), other.summary(clip_id), first.path, other.path)


def check_same_regions(files: Sequence[ClipFile]) -> None:
    """Refuses samples whose own regions differ, over which each would be measured.

    Raises:
        ThunderError: says which region of which files.
    """
    first = files[0]
    for other in files[1:]:
        ours, theirs = ({name: region_hash(i) for name, i in file.head.regions.items()} for file in (first, other))
        differing = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
        if differing:
            name = differing[0]
            raise ThunderError(
                f"region {name} is {ours.get(name, 'not there')} in {first.path}, {theirs.get(name, 'not there')} in "
                f"{other.path}: they would be measured over different vertices; give --reference dataset.h5, whose regions "
                f"then count for all"
            )


def _check_same_clip(ours: ClipSummary, theirs: ClipSummary, our_path: Path, their_path: Path) -> None:
    if not math.isclose(ours.fps, theirs.fps, rel_tol=1e-4):
        raise ThunderError(
            f"clip {ours.id}: {our_path} has {ours.fps:g} fps, {their_path} {theirs.fps:g}; sample both at one rate"
        )
    if abs(ours.num_frames - theirs.num_frames) > _MAX_TRIMMED_FRAMES:
        raise ThunderError(
            f"clip {ours.id}: {our_path} has {ours.num_frames} frames, {their_path} {theirs.num_frames}: is it another "
            f"recording of that name?"
        )
    if ours.transcript != theirs.transcript:
        raise ThunderError(
            f"clip {ours.id}: says {ours.transcript!r} in {our_path}, {theirs.transcript!r} in {their_path}: is it another "
            f"recording of that name?"
        )


def some_of(clips: ClipFile) -> str:
    """The first ids of a file, in words."""
    ids = list(clips)
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
