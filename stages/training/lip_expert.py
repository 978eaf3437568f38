"""A lip reader beside a training: it reads what is drawn of generated faces, and may itself learn from the true ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stages.heads.head import Head
from stages.losses.lip_reading import LipReadingLoss, lip_reading
from stages.models.lip_reader import VIDEO_RATE_HZ, LipReader
from stages.models.precision import full_precision
from stages.models.resampling import read_at
from stages.rendering.mouth_crops import draw_mouths, mouth_scene
from stages.training.spoken_words import Extracts


class LipExpert(nn.Module):
    """Reads extracts of moving faces, drawn under plain light.

    Source: Han et al., Interspeech 2024, whose expert is tuned on the corpus together with the animator, by one optimiser.
    There both learn from the animator's faces. Here the expert learns from the true ones alone: learning from the others, the
    two may agree on lips that nobody else can read.

    Args:
        reader: frozen, unless it is tuned.
        head: whose motion is drawn.
        heard: whether it reads the speech beside the lips.
        tuned: whether it learns. Only then is it a part of what is trained.
    """

    def __init__(self, reader: LipReader, head: Head, *, heard: bool, tuned: bool) -> None:
        super().__init__()
        self.head = head
        self.scene = mouth_scene(head.record, reader.picture_mean.device)
        self.heard = heard
        self.tuned = reader if tuned else None
        # In a tuple, so that a frozen reader is not a part of what is trained and saved.
        self._reader = (reader,)
        if tuned:
            reader.requires_grad_()

    @property
    def reader(self) -> LipReader:
        """The lip reader."""
        return self._reader[0]

    def judge(self, motion: Tensor, extracts: Extracts) -> LipReadingLoss:
        """How badly each extract (K,) is read; differentiable to the motion, and to nothing of the reader.

        Args:
            motion: (B, T, D) of the windows, not normalised.
        """
        with _asleep(self.reader):
            return self._read(motion, extracts)

    def learn(self, true_motion: Tensor, extracts: Extracts) -> LipReadingLoss:
        """The same of true faces (B, T, D); differentiable to the reader."""
        return self._read(true_motion, extracts)

    def _read(self, motion: Tensor, extracts: Extracts) -> LipReadingLoss:
        with full_precision(motion.device):
            shown = read_at(motion.float()[extracts.window], extracts.position)  # (K, T', D)
            vertices = self.head.vertices(shown, indices=self.scene.vertices, pose=False)
        return lip_reading(
            self.reader,
            self._draw,
            vertices,
            VIDEO_RATE_HZ,
            labels=extracts.labels,
            num_labels=extracts.num_labels,
            sound=extracts.sound if self.heard else None,
            mask=extracts.mask,
        )

    def _draw(self, vertices: Tensor) -> Tensor:
        with full_precision(vertices.device):
            return draw_mouths(self.scene, vertices)[0]

    def forget(self, seed: int) -> None:
        """Draws all weights of the reader anew; what it normalises by, and the characters it knows, stay."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = LipReader(self.reader.config, self.reader.pieces)
        statistics = {"picture_mean", "picture_scale", "mel_mean", "mel_scale"}
        kept = {name: value for name, value in self.reader.named_buffers() if name in statistics}
        self.reader.load_state_dict(fresh.state_dict() | kept)


@contextmanager
def _asleep(reader: LipReader) -> Iterator[None]:
    """A reader that neither learns nor drops anything for a while."""
    training, learning = reader.training, [p for p in reader.parameters() if p.requires_grad]
    reader.eval().requires_grad_(False)
    try:
        yield
    finally:
        reader.train(training)
        for parameter in learning:
            parameter.requires_grad_()
