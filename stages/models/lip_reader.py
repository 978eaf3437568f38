"""A lip reader: text from pictures of a mouth at 25 fps, from speech, or from both.

Each stream has a front end and a conformer; what they find is fused, and read twice: by CTC, frame by frame, and by a decoder
that attends to all of it. A stream that is withheld is zeros where the two meet, so that one model, from which either was
withheld now and then in training, reads audio-visually and by the lips alone.

Source: Ma et al., "Auto-AVSR: Audio-Visual Speech Recognition with Automatic Labels", ICASSP 2023, the expert of Han et al.,
Interspeech 2024; `form = "published"` is its architecture. Ours: withholding a stream; two labels a frame, because characters
come faster than 25 a second, where its word pieces do not; and the form `light`.
"""

from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.artifacts.checkpoint import Checkpoint, read_checkpoint
from stages.audio.log_mel import NUM_BANDS
from stages.models.characters import decode, encode, normalise_text
from stages.models.ctc import greedy_labels, likeliest_texts
from stages.models.lip_front_ends import (
    MEL_FRAMES,
    SAMPLES,
    MelFrontEnd,
    PatchFrontEnd,
    PictureFrontEnd,
    WaveformFrontEnd,
)
from stages.models.relative_conformer import PUBLISHED_EPSILON, RelativeConformer
from stages.models.resampling import change_rate
from stages.models.text_decoder import TextDecoder, log_probabilities
from stages.models.weights import arrays_of_weights, load_weights
from stages.models.word_pieces import WordPieces
from stages.runtime.config import Config
from stages.runtime.errors import ThunderError

VIDEO_RATE_HZ = 25
CROP_SIDE = 88
# Of w in `write_down`: on 40 clips of validation speakers, lips alone, two readers, .1 to .9 are alike, and 0 is worse.
DECODER_SHARE = 0.3
# What Auto-AVSR adds to the variance of a waveform.
_SOUND_EPSILON = 1e-8


class LipReaderConfig(Config):
    """The numbers and names that rebuild the network.

    Attributes:
        characters: those it writes, each once.
        num_pieces: of words, which are its labels instead of characters; 0 where it has none.
        streams: what it reads: pictures, sound, or `both`, which alone has a fusion.
        form: `light` or `published`, see `lip_front_ends`.
        channels: of the first convolution; the last has eight times as many, or twice, in the form `light`.
        num_layers: of each stream's conformer; `decoder_layers` of the decoder.
        fusion_dim: width where the streams meet.
        labels_per_frame: how many labels a frame of 40 ms speaks for.
        max_frames: the longest clip it reads; attention grows with the square.
        decoder_share: of the decoder's word where a beam of texts is weighed by both, 0 to 1; CTC has the rest.
    """

    characters: str
    num_pieces: int = 0
    streams: Literal["both", "picture", "sound"] = "both"
    form: Literal["light", "published"] = "light"
    channels: int = 64
    dim: int = 768
    num_layers: int = 12
    num_heads: int = 12
    kernel: int = 31
    decoder_layers: int = 6
    fusion_dim: int = 8192
    dropout: float = 0.1
    labels_per_frame: int = 2
    max_frames: int = 750
    decoder_share: float = DECODER_SHARE

    @property
    def num_labels(self) -> int:
        """The blank, the characters or pieces, and the sign that begins and ends a text."""
        return (self.num_pieces or len(self.characters)) + 2

    @property
    def end(self) -> int:
        """That sign."""
        return self.num_labels - 1


class LipReading(NamedTuple):
    """What is read.

    Attributes:
        log_probs: (B, labels_per_frame * T, num_labels) of CTC; label 0 is its blank.
        features: (B, T, dim), what the streams' fusion found.
    """

    log_probs: Tensor
    features: Tensor


class LipReader(nn.Module):
    """The network, with the statistics it normalises by; `pieces` are its labels where they are not characters."""

    picture_mean: Tensor
    picture_scale: Tensor
    mel_mean: Tensor
    mel_scale: Tensor

    def __init__(self, config: LipReaderConfig, pieces: WordPieces | None = None) -> None:
        super().__init__()
        self.config = config
        self.pieces = pieces
        dim, published = config.dim, config.form == "published"

        def conformer() -> RelativeConformer:
            return RelativeConformer(
                dim,
                config.num_layers,
                num_heads=config.num_heads,
                kernel=config.kernel,
                dropout=config.dropout,
                published=published,
            )

        if config.streams != "sound":
            self.eyes = PictureFrontEnd(config.channels) if published else PatchFrontEnd(config.channels)
            self.from_eyes = nn.Linear(self.eyes.num_outputs, dim)
            self.seen_conformer = conformer()
        if config.streams != "picture":
            self.ears = WaveformFrontEnd(config.channels) if published else MelFrontEnd(dim)
            self.from_ears = nn.Linear(self.ears.num_outputs, dim)
            self.heard_conformer = conformer()
        if config.streams == "both":
            self.fusion_in = nn.Linear(2 * dim, config.fusion_dim)
            self.fusion_norm = nn.BatchNorm1d(config.fusion_dim) if published else nn.LayerNorm(config.fusion_dim)
            self.fusion_out = nn.Linear(config.fusion_dim, dim)
        self.dropout = nn.Dropout(config.dropout)
        self.to_labels = nn.Linear(dim, config.labels_per_frame * config.num_labels)
        self.decoder = TextDecoder(
            config.num_labels,
            dim,
            config.decoder_layers,
            num_heads=config.num_heads,
            dropout=config.dropout,
            epsilon=PUBLISHED_EPSILON if published else 1e-5,
        )
        # Auto-AVSR's statistics of pictures, until a corpus's own are put in their place.
        self.register_buffer("picture_mean", torch.tensor(0.421))
        self.register_buffer("picture_scale", torch.tensor(0.165))
        self.register_buffer("mel_mean", torch.zeros(NUM_BANDS))
        self.register_buffer("mel_scale", torch.ones(NUM_BANDS))

    def forward(
        self,
        crops: Tensor | None,
        sound: Tensor | None,
        mask: Tensor,
        *,
        seen: Tensor | None = None,
        heard: Tensor | None = None,
    ) -> LipReading:
        """Reads what is seen, heard, or both.

        Args:
            crops: (B, T, 96, 96) or (B, T, 88, 88), grey, in 0..1; None reads the sound alone.
            sound: `sound_of` each clip, (B, 4 T, 80) or (B, 640 T); None reads the lips alone.
            mask: (B, T), True where a frame is real.
            seen: (B,) False where the picture is withheld from the fusion, and `heard` the same of the sound; a reader of
                one stream is told all of that, and nothing of the other.

        Raises:
            ThunderError: longer than the reader was built for; nothing of what a reader of one stream reads.
        """
        if mask.shape[1] > self.config.max_frames:
            raise ThunderError(
                f"a clip of {mask.shape[1]} frames at 25 fps is longer than the {self.config.max_frames} that this lip reader "
                f"was built for; cut it, or train one with a larger max_clip_s"
            )
        if self.config.streams == "both":
            features = self._fuse([self._look(crops, mask, seen), self._listen(sound, mask, heard)], mask)
        elif (crops if self.config.streams == "picture" else sound) is None:
            raise ThunderError(
                f"this lip reader was made for {self.config.streams} alone, which is withheld; read with one of both"
            )
        else:
            alone = (
                self._look(crops, mask, None) if self.config.streams == "picture" else self._listen(sound, mask, None)
            )
            features = alone * mask[..., None]
        logits = self.to_labels(self.dropout(features)).float().unflatten(-1, (self.config.labels_per_frame, -1))
        return LipReading(logits.log_softmax(-1).flatten(1, 2), features)

    def _fuse(self, streams: list[Tensor], mask: Tensor) -> Tensor:
        met = self.fusion_in(torch.cat(streams, -1)[mask])  # (frames, fusion_dim)
        met = self.fusion_out(F.relu(self.fusion_norm(met)))
        features = torch.zeros(*mask.shape, met.shape[1], dtype=met.dtype, device=met.device)
        return features.masked_scatter(mask[..., None], met)

    def _look(self, crops: Tensor | None, mask: Tensor, seen: Tensor | None) -> Tensor:
        if crops is None:
            return self._withheld(mask)
        rows = _rows(seen, mask)
        pictures = (centre(crops[rows]) - self.picture_mean) / self.picture_scale
        return self._told(self.seen_conformer(self.from_eyes(self.eyes(pictures, mask[rows])), mask[rows]), rows, mask)

    def _listen(self, sound: Tensor | None, mask: Tensor, heard: Tensor | None) -> Tensor:
        if sound is None:
            return self._withheld(mask)
        rows = _rows(heard, mask)
        sound = sound[rows]
        if self.config.form == "light":
            sound = (sound - self.mel_mean) / self.mel_scale
        return self._told(self.heard_conformer(self.from_ears(self.ears(sound, mask[rows])), mask[rows]), rows, mask)

    def _withheld(self, mask: Tensor) -> Tensor:
        return torch.zeros(*mask.shape, self.config.dim, device=mask.device)

    def _told(self, found: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """What was found in some rows, zeros in the others."""
        return found.new_zeros(*mask.shape, self.config.dim).index_copy(0, rows, found)

    def sound_of(self, log_mel: Tensor, waveform: Tensor, num_frames: int) -> Tensor:
        """What the model hears of a clip, as long as the clip's `num_frames` T of video.

        Args:
            log_mel: (L, 80), natural logarithm, 100 Hz.
            waveform: (S,), 16 kHz.

        Returns:
            (4 T, 80), or (640 T,) of mean 0 and variance 1 over the clip.
        """
        if self.config.form == "light":
            wanted = MEL_FRAMES * num_frames
            last = log_mel[-1:].expand(max(0, wanted - len(log_mel)), -1)
            return torch.cat([log_mel[:wanted], last])
        wanted = SAMPLES * num_frames
        cut = waveform[:wanted].float()
        return F.pad(F.layer_norm(cut, cut.shape, eps=_SOUND_EPSILON), (0, wanted - len(cut)))


def _rows(told: Tensor | None, mask: Tensor) -> Tensor:
    """Indices of the clips that a stream is told of: what is withheld costs nothing, and has no part in any statistics."""
    return torch.arange(len(mask), device=mask.device) if told is None else told.to(mask.device).nonzero().squeeze(1)


def centre(crops: Tensor) -> Tensor:
    """The middle 88² of crops (..., height, width)."""
    top, left = ((size - CROP_SIDE) // 2 for size in crops.shape[-2:])
    return crops[..., top : top + CROP_SIDE, left : left + CROP_SIDE]


def at_video_rate(motion: Tensor, fps: float) -> Tensor:
    """Frames at 25 fps that lie within (B, T, ...) at `fps`: frame n shows what was at n / 25 s."""
    num_frames = int((motion.shape[1] - 1) / fps * VIDEO_RATE_HZ + 1e-6) + 1
    return change_rate(motion, fps, VIDEO_RATE_HZ, num_frames)


def labels_of(model: LipReader, text: str, where: str) -> list[int]:
    """The labels of a transcript.

    Raises:
        ThunderError: it is empty, or has characters that the model cannot write.
    """
    normal = normalise_text(text)
    strange = "".join(sorted(set(normal) - set(model.config.characters)))
    if not normal:
        raise ThunderError(
            f"{where}: no transcript, which reading lips is compared with; add one, or leave the clip out"
        )
    if strange:
        raise ThunderError(
            f"{where}: its transcript has {strange!r}, which this lip reader cannot write "
            f"(it knows {model.config.characters!r}); train one on such text with `thunder train-lipreader`"
        )
    return encode(normal, model.config.characters) if model.pieces is None else model.pieces.encode(text)


def write_down(model: LipReader, reading: LipReading, mask: Tensor, *, beam: int = 1) -> list[str]:
    """The texts that are read: what CTC spells on its likeliest path, or the best of a beam of texts.

    The best has the highest (1 - w) log p_CTC + w log p_decoder, w being the model's `decoder_share`; the decoder weighs all
    texts of a clip in one batch.

    Args:
        mask: (B, T) as the reading was made with.
        beam: prefixes that CTC's search keeps, and texts that are weighed; 1 takes the likeliest path, and asks no decoder.

    Source:
        Watanabe et al., "Hybrid CTC/Attention Architecture for End-to-End Speech Recognition", 2017: joint decoding, as
        rescoring.
    """
    texts = []
    for log_probs, features, num_frames in zip(reading.log_probs, reading.features, mask.sum(1).tolist(), strict=True):
        # The sign that ends a text belongs to the decoder.
        found = log_probs[: num_frames * model.config.labels_per_frame, :-1]
        if beam == 1:
            labels = greedy_labels(found)
        else:
            labels = _best_of_both(model, likeliest_texts(found, beam), features[:num_frames])
        spelled_by = (
            model.pieces.decode if model.pieces is not None else partial(decode, characters=model.config.characters)
        )
        texts.append(spelled_by(labels))
    return texts


def _best_of_both(model: LipReader, texts: list[tuple[list[int], float]], features: Tensor) -> list[int]:
    """The labels that CTC, whose logarithms `texts` has, and the decoder together find likeliest."""
    share = model.config.decoder_share
    if share == 0 or len(texts) == 1:
        return texts[0][0]
    by_ctc = torch.tensor([score for _, score in texts], dtype=torch.float64)
    told = log_probabilities(model.decoder, [labels for labels, _ in texts], features, model.config.end)
    return texts[int(((1 - share) * by_ctc + share * told.cpu().double()).argmax())][0]


@torch.no_grad()
def read_lips(model: LipReader, crops: Tensor | None, sound: Tensor | None = None, *, beam: int = 1) -> str:
    """The text of one clip.

    Args:
        crops: (T, 96, 96) grey, in 0..1, 25 fps; None reads the sound alone.
        sound: `sound_of` the clip; None reads the lips alone.
        beam: see `write_down`.
    """
    given = crops if crops is not None else sound
    if given is None:
        raise ValueError("nothing to read: wanted crops, sound or both")
    per_frame = 1 if crops is not None else (MEL_FRAMES if given.ndim == 2 else SAMPLES)
    mask = torch.ones(1, len(given) // per_frame, dtype=torch.bool, device=given.device)
    reading = model(None if crops is None else crops[None], None if sound is None else sound[None], mask)
    return write_down(model, reading, mask, beam=beam)[0]


def checkpoint_of(model: LipReader, weights: dict[str, Tensor], curves: dict) -> Checkpoint:
    """The model as plain arrays, with the given (averaged) weights."""
    buffers = {name: buffer.cpu().numpy() for name, buffer in model.named_buffers()}
    if model.pieces is not None:
        buffers |= model.pieces.arrays()
    return Checkpoint(model.config.model_dump(), arrays_of_weights(weights), buffers, curves=curves)


def load_lip_reader(path: Path, device: torch.device | str = "cpu") -> LipReader:
    """Reads a frozen model.

    Raises:
        ThunderError: not such a file, or one whose weights do not fit its configuration.
    """
    checkpoint = read_checkpoint(path, "thunder.lipreader")
    pieces, statistics = WordPieces.split_off(checkpoint.normalisation)
    model = LipReader(LipReaderConfig.resolve(options=checkpoint.config), pieces)
    load_weights(model, checkpoint.weights | statistics, path)
    return model.to(device).eval().requires_grad_(False)
