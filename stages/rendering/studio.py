"""Several moving heads of one clip, drawn side by side under the same light by the same camera."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stages.artifacts.head_record import HeadRecord
from stages.heads.head import build_head, rotation_features
from stages.rendering.backends import Backend
from stages.rendering.camera import Camera, portrait_camera
from stages.rendering.error_colours import error_colours
from stages.rendering.picture import caption
from stages.rendering.scene import head_scene
from stages.rendering.shading import display_bytes
from stages.runtime.errors import ThunderError

# A panel's width over its height: heads are taller than wide.
PANEL_ASPECT = 4 / 5
# Pictures drawn at once: beyond a few, a CPU's cache and memory cost more than a batch saves.
PICTURES_AT_ONCE = {"cpu": 2, "cuda": 64}
# A head that moves stays about as large as it is at rest. One that left the picture, or that burst over it, is an error.
SMALLEST_SHARE_OF_REST = 0.3
GREATEST_COVERAGE = 0.97


@dataclass(frozen=True)
class Panel:
    """One moving head.

    Attributes:
        name: short, for errors.
        label: caption of a film.
        motion: (T, D).
        template: (V, 3) the subject at rest.
        vertices: (T, V, 3) to be shown as they are, instead of the motion.
        truth: what the surface is coloured by its distance from, head pose apart; among panels that have one, those that
            have none are coloured as without error.
        full_scale: the distance that has the last of the colours, head units.
    """

    name: str
    label: str
    motion: Tensor
    template: Tensor
    vertices: np.ndarray | None = None
    truth: "Panel | None" = None
    full_scale: float = 1.0


class Studio:
    """What all clips share: the head, its look, and the size of a panel.

    With `oversampling` k, pictures are drawn k times as high and wide and averaged: teeth, lids and lashes of a small
    picture are finer than its pixels. `transparent` pictures have no background, and a fourth channel.
    """

    def __init__(
        self,
        head: HeadRecord,
        panel_height: int,
        device: torch.device,
        num_workers: int,
        *,
        oversampling: int = 1,
        transparent: bool = False,
        backend: Backend = "torch",
    ) -> None:
        self.head = build_head(head).to(device)
        self.chin = head.landmarks["chin"]
        self.device = device
        self.num_workers = num_workers if device.type == "cpu" else 1
        self.pictures_at_once = PICTURES_AT_ONCE.get(device.type, PICTURES_AT_ONCE["cpu"])
        # Even sides, for video.
        self.height = 2 * round(panel_height / 2)
        self.width = 2 * round(panel_height * PANEL_ASPECT / 2)
        self.caption_height = 2 * max(8, round(panel_height / 40))
        self.oversampling = oversampling
        self.transparent = transparent
        self.channels = 4 if transparent else 3
        self.rotates = bool(rotation_features(head))
        camera = self.camera(self.head.template)
        height, width = self.height * oversampling, self.width * oversampling
        self.scene = head_scene(head, camera, height, width, device, backend)

    def camera(self, template: Tensor) -> Camera:
        """The camera that frames a subject."""
        return portrait_camera(template, self.width / self.height, chin=template[self.chin])

    def label(self, text: str) -> np.ndarray:
        """A caption as wide as a panel."""
        return caption(text, self.caption_height, self.width)


class Shoot:
    """Draws the frames of one clip: N panels, one camera."""

    def __init__(self, studio: Studio, name: str, panels: list[Panel]) -> None:
        self.studio = studio
        self.name = name
        self.panels = panels
        template = panels[-1].template
        self.scene = replace(studio.scene, camera=studio.camera(template))
        with torch.inference_mode():
            _, at_rest = self.scene.render(template[None])
        self.least_coverage = SMALLEST_SHARE_OF_REST * float(at_rest)

    def draw(self, frames: Sequence[int]) -> np.ndarray:
        """Pictures (T, N, height, width, 3 or 4) of all panels at some frames.

        Raises:
            ThunderError: a frame whose vertices are not finite, or that shows no head.
        """
        with torch.inference_mode():
            vertices = torch.stack([self._vertices(panel, frames) for panel in self.panels], 1).flatten(0, 1)
            finite = torch.isfinite(vertices).flatten(1).all(1)
            self._check(finite, frames, "vertices that are not finite")
            colours = self._colours(frames)
            size = self.studio.pictures_at_once
            runs = [
                self._pictures(run, None if colours is None else colours[k * size : (k + 1) * size])
                for k, run in enumerate(vertices.split(size))
            ]
            coverage = torch.cat([coverage for _, coverage in runs])
            sane = (coverage >= self.least_coverage) & (coverage <= GREATEST_COVERAGE)
            self._check(sane, frames, "a head that has left or filled the picture")
        pictures = np.concatenate([pictures for pictures, _ in runs])
        return pictures.reshape(len(frames), len(self.panels), *pictures.shape[1:])

    def _pictures(self, vertices: Tensor, colours: Tensor | None) -> tuple[np.ndarray, Tensor]:
        linear, coverage = self.scene.render(vertices, colours=colours, transparent=self.studio.transparent)
        if (k := self.studio.oversampling) > 1:
            linear = linear.unflatten(2, (-1, k)).unflatten(1, (-1, k)).mean((2, 4))
        if self.studio.transparent:
            light, cover = linear.split([3, 1], -1)
            shown = display_bytes(light / cover.clamp(min=1e-4))
            return torch.cat([shown, (cover * 255).round().to(torch.uint8)], -1).cpu().numpy(), coverage
        return display_bytes(linear).cpu().numpy(), coverage

    def _colours(self, frames: Sequence[int]) -> Tensor | None:
        """(T * N, V, 3) linear RGB by distance from the truth; None where no panel has one."""
        if all(panel.truth is None for panel in self.panels):
            return None
        of_panels = []
        for panel in self.panels:
            shape = self._vertices(panel, frames, pose=False)
            truth = shape if panel.truth is None else self._vertices(panel.truth, frames, pose=False)
            of_panels.append(error_colours((shape - truth).norm(dim=-1), panel.full_scale))
        return torch.stack(of_panels, 1).flatten(0, 1)

    def _vertices(self, panel: Panel, frames: Sequence[int], *, pose: bool = True) -> Tensor:
        # A reference may end a little sooner than the takes: it then stands still.
        here = np.minimum(np.asarray(frames), len(panel.motion) - 1)
        if panel.vertices is not None and (pose or not self.studio.rotates):
            return torch.from_numpy(panel.vertices[here]).to(self.studio.device)
        return self.studio.head.vertices(
            panel.motion[torch.from_numpy(here).to(self.studio.device)], template=panel.template, pose=pose
        )

    def _check(self, good: Tensor, frames: Sequence[int], what: str) -> None:
        if not bool(good.all()):
            first = int((~good).nonzero()[0])
            frame, panel = frames[first // len(self.panels)], self.panels[first % len(self.panels)]
            raise ThunderError(
                f"clip {self.name}, {panel.name}, frame {frame}: {what}; the motion is broken, make it again"
            )

    def runs(self, frames: Sequence[int]) -> Iterator[np.ndarray]:
        """`draw` in short runs, several at a time on a CPU, in order."""
        step = max(1, self.studio.pictures_at_once // len(self.panels))
        pending: deque[Future[np.ndarray]] = deque()
        pool = ThreadPoolExecutor(self.studio.num_workers)
        try:
            for start in range(0, len(frames), step):
                pending.append(pool.submit(self.draw, frames[start : start + step]))
                if len(pending) > self.studio.num_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def whole_frames_a_thread() -> Iterator[int]:
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
