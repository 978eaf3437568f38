"""Films takes side by side with sound, lays their frames out on a contact sheet, or puts them live on a page."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from stages.artifacts.clips import Clip, ClipFile, open_clips
from stages.artifacts.files import check_output
from stages.rendering.backends import Backend, rasteriser_of
from stages.rendering.comparison import compared
from stages.rendering.frames_folder import check_folder
from stages.rendering.html_page import PageClip, page_clip, write_page
from stages.rendering.studio import Panel, Shoot, Studio, whole_frames_a_thread
from stages.rendering.takes_film import Layout, film_takes, lay_out_stills
from stages.rendering.video import TRANSPARENT
from stages.runtime.devices import resolve_device
from stages.runtime.errors import Failure, ThunderError
from stages.runtime.progress import Progress, silent

Format = Literal["mp4", "webm", "mov", "gif", "png", "frames", "html"]

# Stills are few and small, and looked at for longer than a frame of a film.
STILL_OVERSAMPLING = 2


@dataclass(frozen=True)
class RenderResult:
    """What `render` made.

    Attributes:
        files: one a clip that went well.
        failures: the clips that did not.
        num_clips: how many were asked for.
        num_frames: pictures of heads drawn, over all panels; on a page, those that it can show.
    """

    files: list[Path]
    failures: list[Failure]
    num_clips: int
    num_frames: int


def render(
    input_path: Path,
    output_path: Path,
    *,
    output_format: Format = "mp4",
    clip_ids: Sequence[str] = (),
    takes: Sequence[int] = (),
    reference_path: Path | None = None,
    panel_height: int | None = None,
    num_stills: int | None = None,
    transparent: bool = False,
    captions: bool | None = None,
    error_scale_mm: float | None = None,
    backend: Backend = "torch",
    device: str = "cpu",
    force: bool = False,
    progress: Progress = silent,
) -> RenderResult:
    """Films the takes of clips, one file a clip; or puts all clips on one page, among which its reader chooses.

    All panels of a file are seen by one camera, under the same light. Frames are drawn and written in short runs, so
    that memory does not grow with the length of a clip.

    Args:
        input_path: `samples.h5`, or a `dataset.h5` to film what was recorded.
        output_path: the file to write; of films and sheets of several clips, `<stem>.<clip><suffix>` beside it.
        output_format: `mp4`, `webm`, `mov` or `gif`; `frames` for a folder of png and the speech; `png` for a sheet with a
            row for each take and columns of evenly spaced frames; `html` for a page that plays the takes as heads in 3D and
            needs nothing else.
        clip_ids: which clips; all, if none is named.
        takes: numbers of the takes, from 0; all, if none is named.
        reference_path: a dataset whose clips of the same names are shown first.
        panel_height: pixels; 480 if None, and 240 on sheets and gifs. A page fills the window it is in.
        num_stills: columns of a sheet, 8 if None; nothing else has columns.
        transparent: leave out the background; webm, mov, png and frames can.
        captions: say under each head which clip, take and seed it is, how badly it speaks where a mesh-to-speech model scored
            it, and how far its lips are from the reference's; if None, only before a background. A page says it always.
        error_scale_mm: colour takes by their distance from the reference, up to this; head units where heads have no metres.
        backend: who finds which face a pixel sees: `torch`, our rasteriser, or `pytorch3d`, a check on it, far slower on a CPU.
        device: where to draw; a page is drawn by its reader's browser.
        force: replace outputs that exist.
        progress: told one unit a frame.

    Raises:
        ThunderError: unreadable input, unknown clip or take, PyTorch3D asked for and not installed, or, if only one clip was
            asked for, its failure.
    """
    _refuse_idle(output_format, panel_height, num_stills, captions, backend, device)
    _check_looks(output_format, transparent, reference_path, error_scale_mm)
    rasteriser_of(backend)  # says at once where it is missing
    if panel_height is None:
        panel_height = 240 if output_format in ("png", "gif") else 480
    num_stills = 8 if num_stills is None else num_stills
    _check_size(panel_height, num_stills)
    captions = not transparent if captions is None else captions
    where = resolve_device(device)
    if where.type == "mps":
        where = torch.device("cpu")  # has no 64-bit scatter, of which the z-buffer is made
    with open_clips(input_path) as clips, _threads(backend) as num_workers:
        chosen = list(dict.fromkeys(clip_ids)) or clips.ids()
        for clip_id in chosen:
            clips.summary(clip_id)  # says at once which clip is unknown
        if output_format == "html":
            check_output(output_path, force=force)
            return _page(clips, chosen, takes, reference_path, output_path, progress)
        targets = {clip_id: _target(output_path, clip_id, alone=len(chosen) == 1) for clip_id in chosen}
        for path in targets.values():
            (check_folder if output_format == "frames" else check_output)(path, force=force)
        files, failures, num_frames = [], [], 0
        studio = Studio(
            clips.head,
            panel_height,
            where,
            num_workers,
            oversampling=STILL_OVERSAMPLING if output_format == "png" else 1,
            transparent=transparent,
            backend=backend,
        )
        for clip_id, path in targets.items():
            try:
                panels, clip = _panels(clips, clip_id, takes, reference_path, where)
                if reference_path is not None:
                    panels = compared(panels, clips.head, error_scale_mm)
                layout = Layout(Shoot(studio, clip_id, panels), clip, clips.head, captions, error_scale_mm)
                if output_format == "png":
                    num_frames += lay_out_stills(layout, path, num_stills, progress)
                else:
                    num_frames += film_takes(layout, path, output_format, progress)
                files.append(path)
            except ThunderError as error:
                if len(chosen) == 1:
                    raise
                failures.append(Failure(clip_id, str(error)))
    return RenderResult(files, failures, len(chosen), num_frames)


def _threads(backend: Backend) -> AbstractContextManager[int]:
    """How many threads draw a frame each; PyTorch3D splits every picture among its own, and lets no other draw beside."""
    return whole_frames_a_thread() if backend == "torch" else nullcontext(1)


def _refuse_idle(
    output_format: str,
    panel_height: int | None,
    num_stills: int | None,
    captions: bool | None,
    backend: Backend,
    device: str,
) -> None:
    """Refuses options that would change nothing."""
    if output_format != "png" and num_stills is not None:
        raise ThunderError(f"--columns: those of a contact sheet, and {output_format} is none; leave it out")
    if output_format != "html":
        return
    for option, given in (
        ("--size", panel_height is not None),
        ("--captions", captions is True),
        ("--no-captions", captions is False),
        ("--backend", backend != "torch"),
        ("--device", device not in ("auto", "cpu")),
    ):
        if given:
            raise ThunderError(
                f"{option}: a page is laid out and drawn by its reader's browser; leave it out, or choose a film"
            )


def _check_size(panel_height: int, num_stills: int) -> None:
    if not 32 <= panel_height <= 4096:
        raise ThunderError(f"panel height wanted 32 to 4096 pixels, found {panel_height}; choose another --size")
    if not 1 <= num_stills <= 64:
        raise ThunderError(f"a sheet wanted 1 to 64 columns, found {num_stills}; choose other --columns")


def _check_looks(
    output_format: Format, transparent: bool, reference_path: Path | None, error_scale_mm: float | None
) -> None:
    if transparent and output_format not in (*TRANSPARENT, "png", "frames"):
        raise ThunderError(f"--transparent: {output_format} has a background always; wanted webm, mov, png or frames")
    if output_format == "html" and error_scale_mm is not None:
        raise ThunderError("--errors: a page has a button for that; leave it out, or choose a film")
    if error_scale_mm is None:
        return
    if reference_path is None:
        raise ThunderError("--errors wants something to compare takes with; name the dataset with --reference")
    if not 0.001 <= error_scale_mm <= 1e6:
        raise ThunderError(f"--errors wanted millimetres at which colours end, 0.001 or more, found {error_scale_mm:g}")


def _target(output_path: Path, clip_id: str, *, alone: bool) -> Path:
    return output_path if alone else output_path.with_name(f"{output_path.stem}.{clip_id}{output_path.suffix}")


def _panels(
    clips: ClipFile, clip_id: str, takes: Sequence[int], reference_path: Path | None, device: torch.device
) -> tuple[list[Panel], Clip]:
    """The heads of one clip, the reference first."""
    panels = []
    if clips.schema == "thunder.dataset":
        if any(take != 0 for take in takes):
            raise ThunderError(f"{clips.path}: a dataset holds one take of each clip; leave out --takes")
        panel, clip = _recorded(clips, clip_id, device)
        panels.append(panel)
    else:
        clip = clips.read(clip_id)
        template = torch.from_numpy(clips.template(clip.subject)).to(device)
        for take in takes or range(len(clip.motion)):
            if not 0 <= take < len(clip.motion):
                raise ThunderError(
                    f"{clips.path}: clip {clip_id} has takes 0 to {len(clip.motion) - 1}, but --takes names {take}"
                )
            label = f"{clip_id} · take {take}"
            if clip.seed is not None:
                label += f" · seed {clip.seed[take]}"
            if clip.audio_consistency is not None:
                label += f" · M2S {clip.audio_consistency[take]:.3f}"
            motion = torch.from_numpy(clip.motion[take]).to(device)
            panels.append(Panel(f"take {take}", label, motion, template))
    if clip.num_frames == 0:
        raise ThunderError(f"{clips.path}: clip {clip_id} has no frames")
    if reference_path is not None:
        panels.insert(0, _reference_panel(reference_path, clips, clip, device))
    return panels, clip


def _reference_panel(path: Path, clips: ClipFile, clip: Clip, device: torch.device) -> Panel:
    with open_clips(path, "thunder.dataset") as reference:
        if reference.head.motion_fingerprint != clips.head.motion_fingerprint:
            raise ThunderError(
                f"{path}: holds motion of head {reference.head.name} ({reference.head.motion_fingerprint}), but {clips.path} "
                f"{clips.head.name} ({clips.head.motion_fingerprint}); give the dataset of the samples' head"
            )
        panel, recorded = _recorded(reference, clip.id, device)
    if recorded.fps != clip.fps:
        raise ThunderError(
            f"{path}: clip {clip.id} has {recorded.fps:g} fps, but {clips.path} {clip.fps:g}; "
            f"give the dataset that the samples were made from"
        )
    return panel


def _recorded(clips: ClipFile, clip_id: str, device: torch.device) -> tuple[Panel, Clip]:
    clip = clips.read(clip_id, vertices=True)
    template = torch.from_numpy(clips.template(clip.subject)).to(device)
    motion = torch.from_numpy(clip.motion).to(device)
    return Panel("recorded", f"{clip_id} · recorded", motion, template, clip.vertices), clip


def _page(
    clips: ClipFile,
    chosen: Sequence[str],
    takes: Sequence[int],
    reference_path: Path | None,
    path: Path,
    progress: Progress,
) -> RenderResult:
    """One page of all clips: they share the head, which is most of a short page."""
    pages: list[PageClip] = []
    failures = []
    with progress("preparing the page", total=len(chosen)) as advance:
        for clip_id in chosen:
            try:
                panels, clip = _panels(clips, clip_id, takes, reference_path, torch.device("cpu"))
                pages.append(page_clip(clips.head, clip, panels))
            except ThunderError as error:
                if len(chosen) == 1:
                    raise
                failures.append(Failure(clip_id, str(error)))
            advance()
    if pages:
        write_page(path, clips.head, pages)
    num_frames = sum(page.clip.num_frames * len(page.moving) for page in pages)
    return RenderResult([path] if pages else [], failures, len(chosen), num_frames)
