"""Published Auto-AVSR checkpoints as lip readers of this toolkit: the same logits, under our names.

Two layouts were published. The first has a front end and its projection inside an encoder, `encoder.frontend.` and
`encoder.embed.0.`, and a second encoder, `aux_encoder.`, and a fusion in the audio-visual models; the later one, of pictures or
of sound alone, has `frontend.` and `proj_encoder.` beside the encoder. All sizes but the decoder's heads, of which there are as
many as in the encoders, follow from the tensors.

Source: Ma et al., "Auto-AVSR", ICASSP 2023, and the layout of its released code (github.com/mpc001/auto_avsr).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from stages.models.lip_reader import LipReader, LipReaderConfig
from stages.models.word_pieces import WordPieces
from stages.runtime.errors import ThunderError

# A minute at 25 fps: nothing in the model is bound to a length, but attention grows with the square.
_MAX_FRAMES = 1500
_AFFINE = ("weight", "bias")
_BATCH_NORM = (*_AFFINE, "running_mean", "running_var", "num_batches_tracked")
# Theirs -> ours: within a block of an encoder, of a front end, and of the decoder.
_ENCODER = {
    "norm_ff_macaron": "feed_forward_in.0",
    "feed_forward_macaron.w_1": "feed_forward_in.1",
    "feed_forward_macaron.w_2": "feed_forward_in.4",
    "norm_mha": "attention_norm",
    "self_attn.linear_q": "attention.to_q",
    "self_attn.linear_k": "attention.to_k",
    "self_attn.linear_v": "attention.to_v",
    "self_attn.linear_out": "attention.to_out",
    "norm_conv": "convolution_norm",
    "conv_module.pointwise_cov1": "convolution.expand",
    "conv_module.depthwise_conv": "convolution.depthwise",
    "conv_module.pointwise_cov2": "convolution.contract",
    "norm_ff": "feed_forward_out.0",
    "feed_forward.w_1": "feed_forward_out.1",
    "feed_forward.w_2": "feed_forward_out.4",
    "norm_final": "norm",
}
_RESIDUAL = {"conv1": "first", "conv2": "second", "downsample.0": "way_round.0"}
_RESIDUAL_NORMS = {"bn1": "first_norm", "bn2": "second_norm", "downsample.1": "way_round.1"}
_DECODER = {
    "self_attn.linear_out": "self_attn.out_proj",
    "src_attn.linear_out": "multihead_attn.out_proj",
    "norm1": "norm1",
    "norm2": "norm2",
    "norm3": "norm3",
    "feed_forward.w_1": "linear1",
    "feed_forward.w_2": "linear2",
}
_DECODER_ATTENTION = {"self_attn": "self_attn", "src_attn": "multihead_attn"}


class _Stream(NamedTuple):
    """Where a stream's parts are in a checkpoint."""

    kind: Literal["picture", "sound"]
    front_end: str
    projection: str
    encoder: str


def convert_auto_avsr(weights: Mapping[str, Tensor], pieces: WordPieces, path: Path) -> LipReader:
    """The reader of published weights.

    Args:
        weights: named tensors as read from `path`.
        pieces: the vocabulary that it was trained with.

    Raises:
        ThunderError: keys or shapes that are not those of Auto-AVSR, of which the first ones are named; another vocabulary.
    """
    streams = _streams_of(weights)
    names = _names(streams, _count(weights, f"{streams[0].encoder}encoders."), _count(weights, "decoder.decoders."))
    theirs = {name for sources in names.values() for name in sources}
    missing, unknown = sorted(theirs - weights.keys()), sorted(weights.keys() - theirs)
    if missing or unknown:
        said = [f"lacks {', '.join(missing[:3])}"] if missing else []
        said += [f"has {', '.join(unknown[:3])} besides"] if unknown else []
        raise ThunderError(
            f"{path}: not an Auto-AVSR checkpoint: {'; '.join(said)} ({len(missing)} missing, {len(unknown)} unknown of "
            f"{len(theirs)}); check which model this is"
        )
    model = LipReader(_config_of(weights, streams, pieces, path), pieces)
    ours = dict(model.named_parameters()) | dict(model.named_buffers())
    with torch.no_grad():
        for name, sources in names.items():
            found = torch.cat([weights[source] for source in sources]) if len(sources) > 1 else weights[sources[0]]
            if not found.isfinite().all():
                raise ThunderError(f"{path}: {sources[0]} has values that are not finite; download it again")
            # Convolutions over a single frame are linear layers here.
            if found.ndim == ours[name].ndim + 1 and found.shape[-1] == 1:
                found = found[..., 0]
            if found.shape != ours[name].shape:
                raise ThunderError(
                    f"{path}: {sources[0]} wanted shape {tuple(ours[name].shape)}, found {tuple(found.shape)}; "
                    f"this is a network of other proportions than Auto-AVSR's"
                )
            ours[name].copy_(found)
    return model.eval()


def _streams_of(weights: Mapping[str, Tensor]) -> tuple[_Stream, ...]:
    if any(name.startswith("aux_encoder.") for name in weights):
        return (
            _Stream("picture", "encoder.frontend.", "encoder.embed.0.", "encoder."),
            _Stream("sound", "aux_encoder.frontend.", "aux_encoder.embed.0.", "aux_encoder."),
        )
    kind: Literal["picture", "sound"] = "sound" if "frontend.trunk.conv1.weight" in _ends(weights) else "picture"
    if any(name.startswith("encoder.frontend.") for name in weights):
        return (_Stream(kind, "encoder.frontend.", "encoder.embed.0.", "encoder."),)
    return (_Stream(kind, "frontend.", "proj_encoder.", "encoder."),)


def _ends(weights: Mapping[str, Tensor]) -> set[str]:
    return {name.removeprefix("encoder.") for name in weights}


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    """How many layers are there; at least one, so that a missing one is named."""
    return max(1, len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)}))


def _config_of(
    weights: Mapping[str, Tensor], streams: tuple[_Stream, ...], pieces: WordPieces, path: Path
) -> LipReaderConfig:
    num_labels = len(weights["ctc.ctc_lo.weight"])
    if num_labels != len(pieces.units) + 2:
        raise ThunderError(
            f"{path}: names {num_labels} labels, the vocabulary has {len(pieces.units)} pieces, which with a blank and an end "
            f"are {len(pieces.units) + 2}; give the vocabulary that it was trained with"
        )
    first = streams[0]
    block = f"{first.encoder}encoders.0."
    num_heads = len(weights[f"{block}self_attn.pos_bias_u"])
    stem = f"{first.front_end}{'frontend3D.0' if first.kind == 'picture' else 'trunk.conv1'}.weight"
    return LipReaderConfig(
        characters=pieces.characters,
        num_pieces=len(pieces.units),
        streams="both" if len(streams) == 2 else first.kind,
        form="published",
        channels=len(weights[stem]),
        dim=len(weights[f"{first.projection}weight"]),
        num_layers=_count(weights, f"{first.encoder}encoders."),
        num_heads=num_heads,
        kernel=weights[f"{block}conv_module.depthwise_conv.weight"].shape[-1],
        decoder_layers=_count(weights, "decoder.decoders."),
        fusion_dim=len(weights["fusion.fc1.weight"]) if len(streams) == 2 else 1,
        labels_per_frame=1,
        max_frames=_MAX_FRAMES,
        decoder_share=0.9,  # as in their search
    )


def _names(streams: tuple[_Stream, ...], num_layers: int, decoder_layers: int) -> dict[str, list[str]]:
    """Ours -> theirs, several of which are put one under the other."""
    names: dict[str, list[str]] = {}
    for stream in streams:
        names |= {ours: [theirs] for ours, theirs in _names_of_stream(stream, num_layers)}
    if len(streams) == 2:
        names |= {f"fusion_norm.{end}": [f"fusion.bn1.{end}"] for end in _BATCH_NORM}
        names |= {f"fusion_in.{end}": [f"fusion.fc1.{end}"] for end in _AFFINE}
        names |= {f"fusion_out.{end}": [f"fusion.fc2.{end}"] for end in _AFFINE}
    names["decoder.embedding.weight"] = ["decoder.embed.0.weight"]
    for end in _AFFINE:
        names |= {
            f"to_labels.{end}": [f"ctc.ctc_lo.{end}"],
            f"decoder.norm.{end}": [f"decoder.after_norm.{end}"],
            f"decoder.to_labels.{end}": [f"decoder.output_layer.{end}"],
        }
        for layer in range(decoder_layers):
            here, there = f"decoder.layers.{layer}.", f"decoder.decoders.{layer}."
            names |= {f"{here}{ours}.{end}": [f"{there}{theirs}.{end}"] for theirs, ours in _DECODER.items()}
            for theirs, ours in _DECODER_ATTENTION.items():
                names[f"{here}{ours}.in_proj_{end}"] = [f"{there}{theirs}.linear_{part}.{end}" for part in "qkv"]
    return names


def _names_of_stream(stream: _Stream, num_layers: int) -> Iterator[tuple[str, str]]:
    """Pairs of ours and theirs."""
    seen = stream.kind == "picture"
    front_end, projection, conformer = (
        ("eyes", "from_eyes", "seen_conformer") if seen else ("ears", "from_ears", "heard_conformer")
    )
    stem, norm = ("frontend3D.0", "frontend3D.1") if seen else ("trunk.conv1", "trunk.bn1")
    yield f"{front_end}.stem.weight", f"{stream.front_end}{stem}.weight"
    for end in _BATCH_NORM:
        yield f"{front_end}.stem_norm.{end}", f"{stream.front_end}{norm}.{end}"
    for stage in range(4):
        for k in range(2):
            here, there = f"{front_end}.trunk.{2 * stage + k}.", f"{stream.front_end}trunk.layer{stage + 1}.{k}."
            has_way_round = stage > 0 and k == 0
            for theirs, ours in _RESIDUAL.items():
                if has_way_round or theirs != "downsample.0":
                    yield f"{here}{ours}.weight", f"{there}{theirs}.weight"
            for theirs, ours in _RESIDUAL_NORMS.items():
                if has_way_round or theirs != "downsample.1":
                    yield from ((f"{here}{ours}.{end}", f"{there}{theirs}.{end}") for end in _BATCH_NORM)
    for end in _AFFINE:
        yield f"{projection}.{end}", f"{stream.projection}{end}"
        yield f"{conformer}.norm.{end}", f"{stream.encoder}after_norm.{end}"
    for layer in range(num_layers):
        here, there = f"{conformer}.blocks.{layer}.", f"{stream.encoder}encoders.{layer}."
        for theirs, ours in _ENCODER.items():
            yield from ((f"{here}{ours}.{end}", f"{there}{theirs}.{end}") for end in _AFFINE)
        yield f"{here}attention.to_distance.weight", f"{there}self_attn.linear_pos.weight"
        yield f"{here}attention.content_bias", f"{there}self_attn.pos_bias_u"
        yield f"{here}attention.distance_bias", f"{there}self_attn.pos_bias_v"
        for end in _BATCH_NORM:
            yield f"{here}convolution.norm.{end}", f"{there}conv_module.norm.{end}"
