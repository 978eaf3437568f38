"""Films takes side by side with sound, or lays their frames out on a contact sheet."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from stages.artifacts.clips import Clip, ClipFile, open_clips
from stages.artifacts.files import check_output
from stages.artifacts.head_record import HeadRecord
from stages.heads.head import build_head
from stages.rendering.camera import portrait_camera
from stages.rendering.picture import caption, grid, num_columns, write_png
from stages.rendering.scene import Scene, head_scene
from stages.rendering.shading import display_bytes
from stages.rendering.video import write_film
from stages.runtime.devices import resolve_device
from stages.runtime.errors import Failure, ThunderError
from stages.runtime.progress import Advance, Progress, silent

Format = Literal["mp4", "png"]

# A panel's width over its height: heads are taller than wide.
PANEL_ASPECT = 4 / 5
# Pictures drawn at once: beyond a few, a CPU's cache and memory cost more than a batch saves.
PICTURES_AT_ONCE = {"cpu": 2, "cuda": 64}
# A head that moves stays about as large as it is at rest. One that left the picture, or that burst over it, is an error.
SMALLEST_SHARE_OF_REST = 0.3
GREATEST_COVERAGE = 0.97


@dataclass(frozen=True)
class RenderResult:
    """What `render` made.

    Attributes:
        files: one a clip that went well.
        failures: the clips that did not.
        num_clips: how many were asked for.
        num_frames: pictures of heads drawn, over all panels.
    """

    files: list[Path]
    failures: list[Failure]
    num_clips: int
    num_frames: int


@dataclass(frozen=True)
class _Panel:
    """One moving head: its name, and its motion (T, D) with the subject's template (V, 3), or its vertices (T, V, 3)."""

    name: str
    label: str
    motion: Tensor
    template: Tensor
    vertices: np.ndarray | None = None


def render(
    input_path: Path,
    output_path: Path,
    *,
    output_format: Format = "mp4",
    clip_ids: Sequence[str] = (),
    takes: Sequence[int] = (),
    reference_path: Path | None = None,
    panel_height: int = 480,
    num_stills: int = 8,
    device: str = "cpu",
    force: bool = False,
    progress: Progress = silent,
) -> RenderResult:
    """Films the takes of clips, one file a clip.

    All panels of a file are seen by one camera, under the same light. Frames are drawn and written in short runs, so
    that memory does not grow with the length of a clip.

    Args:
        input_path: `samples.h5`, or a `dataset.h5` to film what was recorded.
        output_path: the file to write; where there are several clips, `<stem>.<clip><suffix>` beside it.
        output_format: `mp4`, or `png` for a sheet with a row for each take and columns of evenly spaced frames.
        clip_ids: which clips; all, if none is named.
        takes: numbers of the takes, from 0; all, if none is named.
        reference_path: a dataset whose clips of the same names are shown first.
        panel_height: pixels.
        num_stills: columns of a sheet.
        device: where to draw.
        force: replace outputs that exist.
        progress: told one unit a frame.

    Raises:
        ThunderError: unreadable input, unknown clip or take, or, if only one clip was asked for, its failure.
    """
    if not 32 <= panel_height <= 4096:
        raise ThunderError(f"panel height wanted 32 to 4096 pixels, found {panel_height}; choose another --size")
    if not 1 <= num_stills <= 64:
        raise ThunderError(f"a sheet wanted 1 to 64 columns, found {num_stills}; choose other --columns")
    where = resolve_device(device)
    with open_clips(input_path) as clips, _whole_frames_a_thread() as num_workers:
        chosen = list(dict.fromkeys(clip_ids)) or clips.ids()
        for clip_id in chosen:
            clips.summary(clip_id)  # says at once which clip is unknown
        targets = {clip_id: _target(output_path, clip_id, alone=len(chosen) == 1) for clip_id in chosen}
        for path in targets.values():
            check_output(path, force=force)
        files, failures, num_frames = [], [], 0
        for clip_id, path in targets.items():
            try:
                panels, clip = _panels(clips, clip_id, takes, reference_path, where)
                studio = _Studio(
                    clips.head, panels, clip, panel_height=panel_height, device=where, num_workers=num_workers
                )
                with progress(f"rendering {clip_id}", total=clip.num_frames) as advance:
                    if output_format == "mp4":
                        num_frames += _film(studio, path, advance)
                    else:
                        num_frames += _sheet(studio, path, num_stills, advance)
                files.append(path)
            except ThunderError as error:
                if len(chosen) == 1:
                    raise
                failures.append(Failure(clip_id, str(error)))
    return RenderResult(files, failures, len(chosen), num_frames)


def _target(output_path: Path, clip_id: str, *, alone: bool) -> Path:
    return output_path if alone else output_path.with_name(f"{output_path.stem}.{clip_id}{output_path.suffix}")


def _panels(
    clips: ClipFile, clip_id: str, takes: Sequence[int], reference_path: Path | None, device: torch.device
) -> tuple[list[_Panel], Clip]:
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
            seed = f" · seed {clip.seed[take]}" if clip.seed is not None else ""
            motion = torch.from_numpy(clip.motion[take]).to(device)
            panels.append(_Panel(f"take {take}", f"{clip_id} · take {take}{seed}", motion, template))
    if clip.num_frames == 0:
        raise ThunderError(f"{clips.path}: clip {clip_id} has no frames")
    if reference_path is not None:
        panels.insert(0, _reference_panel(reference_path, clips, clip, device))
    return panels, clip


def _reference_panel(path: Path, clips: ClipFile, clip: Clip, device: torch.device) -> _Panel:
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


def _recorded(clips: ClipFile, clip_id: str, device: torch.device) -> tuple[_Panel, Clip]:
    clip = clips.read(clip_id, vertices=True)
    template = torch.from_numpy(clips.template(clip.subject)).to(device)
    motion = torch.from_numpy(clip.motion).to(device)
    return _Panel("recorded", f"{clip_id} · recorded", motion, template, clip.vertices), clip


class _Studio:
    """Draws the frames of one clip: N panels, one camera."""

    def __init__(
        self,
        head: HeadRecord,
        panels: list[_Panel],
        clip: Clip,
        *,
        panel_height: int,
        device: torch.device,
        num_workers: int,
    ) -> None:
        self.head = build_head(head).to(device)
        self.panels = panels
        self.clip = clip
        self.device = device
        self.pictures_at_once = PICTURES_AT_ONCE.get(device.type, 8)
        self.num_workers = num_workers if device.type == "cpu" else 1
        # Even sides, for video.
        self.height = 2 * round(panel_height / 2)
        self.width = 2 * round(panel_height * PANEL_ASPECT / 2)
        self.caption_height = 2 * max(8, round(panel_height / 40))
        template = panels[-1].template
        camera = portrait_camera(template, self.width / self.height, chin=template[head.landmarks["chin"]])
        self.scene: Scene = head_scene(head, camera, self.height, self.width, device)
        with torch.inference_mode():
            _, at_rest = self.scene.render(template[None])
        self.least_coverage = SMALLEST_SHARE_OF_REST * float(at_rest)

    def draw(self, frames: Sequence[int]) -> np.ndarray:
        """Pictures (T, N, height, width, 3) of all panels at some frames.

        Raises:
            ThunderError: a frame whose vertices are not finite, or that shows no head.
        """
        with torch.inference_mode():
            vertices = torch.stack([self._vertices(panel, frames) for panel in self.panels], 1).flatten(0, 1)
            finite = torch.isfinite(vertices).flatten(1).all(1)
            self._check(finite, frames, "vertices that are not finite")
            runs = [self._pictures(run) for run in vertices.split(self.pictures_at_once)]
            coverage = torch.cat([coverage for _, coverage in runs])
            sane = (coverage >= self.least_coverage) & (coverage <= GREATEST_COVERAGE)
            self._check(sane, frames, "a head that has left or filled the picture")
        pictures = np.concatenate([pictures for pictures, _ in runs])
        return pictures.reshape(len(frames), len(self.panels), *pictures.shape[1:])

    def _pictures(self, vertices: Tensor) -> tuple[np.ndarray, Tensor]:
        linear, coverage = self.scene.render(vertices)
        return display_bytes(linear).cpu().numpy(), coverage

    def _vertices(self, panel: _Panel, frames: Sequence[int]) -> Tensor:
        # A reference may end a little sooner than the takes: it then stands still.
        here = np.minimum(np.asarray(frames), len(panel.motion) - 1)
        if panel.vertices is not None:
            return torch.from_numpy(panel.vertices[here]).to(self.device)
        return self.head.vertices(panel.motion[torch.from_numpy(here).to(self.device)], template=panel.template)

    def _check(self, good: Tensor, frames: Sequence[int], what: str) -> None:
        if not bool(good.all()):
            first = int((~good).nonzero()[0])
            frame, panel = frames[first // len(self.panels)], self.panels[first % len(self.panels)]
            raise ThunderError(
                f"clip {self.clip.id}, {panel.name}, frame {frame}: {what}; the motion is broken, make it again"
            )

    def runs(self, frames: Sequence[int], advance: Advance) -> Iterator[np.ndarray]:
        """`draw` in short runs, several at a time on a CPU, in order."""
        step = max(1, self.pictures_at_once // len(self.panels))
        pending: deque[Future[np.ndarray]] = deque()
        pool = ThreadPoolExecutor(self.num_workers)
        try:
            for start in range(0, len(frames), step):
                pending.append(pool.submit(self.draw, frames[start : start + step]))
                if len(pending) > self.num_workers:
                    pictures = pending.popleft().result()
                    yield pictures
                    advance(len(pictures))
            while pending:
                pictures = pending.popleft().result()
                yield pictures
                advance(len(pictures))
        finally:
            pool.shutdown(cancel_futures=True)

    def label(self, text: str) -> np.ndarray:
        """A caption as wide as a panel."""
        return caption(text, self.caption_height, self.width)


@contextmanager
def _whole_frames_a_thread() -> Iterator[int]:
    """Keeps torch from splitting operations among threads, and says how many threads may draw a frame each instead.

    The parts of so small an operation wait for each other, and wait long where ffmpeg or another program keeps a core
    busy.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield num_threads
    finally:
        torch.set_num_threads(num_threads)


def _film(studio: _Studio, path: Path, advance: Advance) -> int:
    clip, count = studio.clip, len(studio.panels)
    columns = num_columns(count, studio.width / (studio.height + studio.caption_height))
    captions = np.stack([studio.label(panel.label) for panel in studio.panels])
    rows = math.ceil(count / columns)
    size = (rows * (studio.height + studio.caption_height), columns * studio.width)
    with write_film(path, size, clip.num_frames, clip.fps, waveform=clip.waveform.astype("f4") / 32768) as add:
        for pictures in studio.runs(range(clip.num_frames), advance):
            under = np.broadcast_to(captions, (len(pictures), *captions.shape))
            add(grid(np.concatenate([pictures, under], axis=2), columns))
    return clip.num_frames * count


def _sheet(studio: _Studio, path: Path, num_stills: int, advance: Advance) -> int:
    clip = studio.clip
    num_stills = min(num_stills, clip.num_frames)
    # The middles of equal parts of the clip.
    frames = [int((k + 0.5) * clip.num_frames / num_stills) for k in range(num_stills)]
    pictures = np.concatenate(list(studio.runs(frames, advance)))  # (stills, N, height, width, 3)
    labels = [
        [studio.label(f"{p.name} · {f / clip.fps:.2f} s{_spoken(clip, f)}") for p in studio.panels] for f in frames
    ]
    panels = np.concatenate([pictures, np.array(labels)], axis=2).swapaxes(0, 1)
    sheet = grid(panels.reshape(-1, *panels.shape[2:]), num_stills)
    title = caption(f"{clip.id}   {clip.transcript}".strip(), studio.caption_height, sheet.shape[1])
    write_png(path, np.concatenate([title, sheet]))
    return pictures.shape[0] * pictures.shape[1]


def _spoken(clip: Clip, frame: int) -> str:
    time = frame / clip.fps
    return next((f" · {p.label}" for p in clip.phones if p.start_s <= time < p.end_s), "")
