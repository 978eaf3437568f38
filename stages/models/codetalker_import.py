"""Published CodeTalker checkpoints (`vocaset_stage2.pth.tar`, `biwi_stage2.pth.tar`) as networks of this toolkit.

The second stage's file leaves the autoencoder out, which is in the first stage's (`vocaset_stage1.pth.tar`); a file with both
is understood too. All that can be said lies in the span of the autoencoder's output layer, of which a basis is the head, as for
FaceFormer (`stages.models.faceformer_import`). What its encoder reads, when the network is trained, is the motion in that span.

The two corpora's autoencoders differ: BIWI's maps its width to that of a frame's codes and back, and its output has no bias.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from stages.artifacts.head_record import HeadRecord
from stages.audio.pretrained import PretrainedSpeech
from stages.models.codetalker import CodeTalker, CodeTalkerConfig
from stages.models.published_weights import (
    NUM_HEADS,
    PUBLISHED,
    check_names,
    check_shapes,
    check_surface,
    count_layers,
    names_of,
    on_basis,
    period_of,
    shared_shapes,
    shared_weights,
    span_of,
)
from stages.runtime.errors import ThunderError

_AUTOENCODER_HEADS = 8
# The longest that the released code animates, after which its tables end.
_LONGEST = 600
_INSIDE = "autoencoder."
_ENCODER, _DECODER = f"{_INSIDE}encoder.", f"{_INSIDE}decoder."
_LAYERS = {_ENCODER: f"{_ENCODER}encoder_transformer.net.", _DECODER: f"{_DECODER}decoder_transformer.net."}
_POST, _PRE = f"{_ENCODER}encoder_linear_embedding_post.net.", f"{_DECODER}decoder_linear_embedding_pre.net."
_OUT = f"{_DECODER}vertice_map_reverse."
# Ours -> theirs, within a layer of the autoencoder: its attention is one module, its feed-forward the next.
_ATTENTION = {"norm_look": "fn.norm", "look": "fn.fn.to_qkv", "looked": "fn.fn.to_out"}
_FEED_FORWARD = {"norm_feed_forward": "fn.norm", "feed_forward.0": "fn.fn.l1", "feed_forward.2": "fn.fn.l2"}


def with_autoencoder(weights: dict[str, Tensor], first: dict[str, Tensor] | None, path: Path) -> dict[str, Tensor]:
    """The weights of both stages, as the second stage names them.

    Args:
        first: of the first stage's own file, where there is one.

    Raises:
        ThunderError: the autoencoder is missing, or there are two of them.
    """
    inside = any(name.startswith(_INSIDE) for name in weights)
    if inside and first is not None:
        raise ThunderError(f"{path}: holds an autoencoder already; leave out --autoencoder")
    if not inside and first is None:
        raise ThunderError(
            f"{path}: holds the second stage alone, without its autoencoder; give the first stage's file, such as "
            f"vocaset_stage1.pth.tar, with --autoencoder"
        )
    return weights | {f"{_INSIDE}{name}": value for name, value in (first or {}).items()}


def convert_codetalker(
    weights: dict[str, Tensor],
    surface: HeadRecord,
    network: PretrainedSpeech,
    subjects: Mapping[str, tuple[str, ...]],
    path: Path,
) -> tuple[CodeTalker, HeadRecord]:
    """The network of published weights, of both stages, and the head that its motion plays on.

    Args:
        weights, surface, network, subjects, path: as of `convert_faceformer`.

    Raises:
        ThunderError: keys or shapes that are not those of CodeTalker; the first ones are named.
    """
    project = any(name.startswith((_POST, _PRE)) for name in weights)
    config = CodeTalkerConfig(
        num_features=1,
        fps=1.0,
        subjects=(),
        period=1,
        num_layers=count_layers(weights, "transformer_decoder.layers."),
        num_heads=NUM_HEADS,
        encoder_dim=network.dim,
        speech_encoder="wav2vec2",
        folder_layer=network.layer,
        folder_sha256=network.identity,
        autoencoder_heads=_AUTOENCODER_HEADS,
        # Attention and feed-forward are counted apart there.
        autoencoder_layers=-(-count_layers(weights, _LAYERS[_DECODER]) // 2),
        project_codes=project,
        decoded_frames=_LONGEST,
    )
    check_names(weights, set(_wanted_shapes(weights, config, 1, 1, network)), "CodeTalker", path)
    check_surface(weights, len(surface.template), surface.name, path)
    config = config.model_copy(update=_sizes_of(weights))
    num_subjects, num_values = len(weights["learnable_style_emb.weight"]), weights["vertice_map.weight"].shape[1]
    check_shapes(weights, _wanted_shapes(weights, config, num_values, num_subjects, network), path)
    if config.autoencoder_dim % _AUTOENCODER_HEADS or not (
        project or config.codes_per_frame * config.code_dim == config.autoencoder_dim
    ):
        raise ThunderError(
            f"{path}: an autoencoder of width {config.autoencoder_dim} with {config.codes_per_frame} codes of "
            f"{config.code_dim} numbers is not as published"
        )
    period = period_of(weights, config.dim, path)
    reading, fps = PUBLISHED[period]
    basis, out, offset = span_of(weights[f"{_OUT}weight"], weights.get(f"{_OUT}bias"))
    names = names_of(subjects, reading, num_subjects)
    found = {"num_features": len(basis), "fps": fps, "subjects": names, "period": period, "published": reading}
    model = CodeTalker(config.model_copy(update=found), network)
    ours = shared_weights(weights, basis) | {
        "style.weight": weights["learnable_style_emb.weight"].T,
        "to_codes.weight": weights["feat_map.weight"],
        "autoencoder.embed_motion.weight": on_basis(weights[f"{_ENCODER}vertice_mapping.0.weight"], basis),
        "autoencoder.embed_motion.bias": weights[f"{_ENCODER}vertice_mapping.0.bias"],
        "autoencoder.codebook": weights[f"{_INSIDE}quantize.embedding.weight"],
        "autoencoder.out.weight": out,
        "autoencoder.out.bias": offset,
    }
    for side, there in (("encoder", _ENCODER), ("decoder", _DECODER)):
        ours |= {f"autoencoder.{side}.{name}": value for name, value in _transformer(weights, side, there).items()}
    for end in ("weight", "bias") if project else ():
        ours |= {
            f"autoencoder.to_codes.{end}": weights[f"{_POST}{end}"],
            f"autoencoder.from_codes.{end}": weights[f"{_PRE}{end}"],
        }
    model.load_state_dict(ours)
    head = replace(
        surface,
        kind="displacement",
        features=tuple(f"pc{k:03d}" for k in range(len(basis))),
        arrays={"basis": basis.unflatten(1, (-1, 3)).numpy()},
    )
    return model.eval(), head


def _sizes_of(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes that names do not tell; a tensor with too few axes is left for `check_shapes` to name."""
    num_codes, code_dim = _size(weights[f"{_INSIDE}quantize.embedding.weight"])
    width, dim = _size(weights["feat_map.weight"])
    return {
        "dim": dim,
        "num_codes": num_codes,
        "code_dim": code_dim,
        "codes_per_frame": max(1, width // max(1, code_dim)),
        "autoencoder_dim": _size(weights[f"{_ENCODER}vertice_mapping.0.weight"])[0],
        "autoencoder_feed_forward": _size(weights[f"{_LAYERS[_DECODER]}1.fn.fn.l1.weight"])[0],
    }


def _size(weight: Tensor) -> tuple[int, int]:
    return (weight.shape[0], weight.shape[1]) if weight.ndim == 2 else (1, 1)


def _transformer(weights: Mapping[str, Tensor], side: str, there: str) -> dict[str, Tensor]:
    """The encoder's or the decoder's convolution and layers, under this toolkit's names."""
    convolution = f"{there}{'squasher' if side == 'encoder' else 'expander'}.0.0."
    embed = f"{there}{side}_linear_embedding.net."
    # Taken along the batch, which is of one, the positions are the first row for every frame.
    constant = weights[f"{there}{side}_pos_embedding.pe"][0, 0]
    ours = {
        "convolution.weight": weights[f"{convolution}weight"],
        "convolution.bias": weights[f"{convolution}bias"],
        "embed.weight": weights[f"{embed}weight"],
        "embed.bias": weights[f"{embed}bias"] + constant,
    }
    for number in range(count_layers(weights, _LAYERS[there])):
        for name, published in (_FEED_FORWARD if number % 2 else _ATTENTION).items():
            for end in ("weight", "bias") if name != "look" else ("weight",):
                value = weights[f"{_LAYERS[there]}{number}.{published}.{end}"]
                ours[f"layers.{number // 2}.{name}.{end}"] = value
    return ours


def _wanted_shapes(
    weights: Mapping[str, Tensor],
    config: CodeTalkerConfig,
    num_values: int,
    num_subjects: int,
    network: PretrainedSpeech,
) -> dict[str, tuple]:
    dim, width = config.autoencoder_dim, config.codes_per_frame * config.code_dim
    table = f"{_DECODER}decoder_pos_embedding.pe"
    # Of any length; only its first row has a part in anything.
    length = len(weights[table]) if table in weights else 1
    shapes: dict[str, tuple] = shared_shapes(weights, config.dim, num_values, network) | {
        "feat_map.weight": (width, config.dim),
        "learnable_style_emb.weight": (num_subjects, config.dim),
        f"{_INSIDE}quantize.embedding.weight": (config.num_codes, config.code_dim),
        f"{_ENCODER}vertice_mapping.0.weight": (dim, num_values),
        f"{_ENCODER}vertice_mapping.0.bias": (dim,),
        f"{_OUT}weight": (num_values, dim),
    }
    for side, there, convolution in (("encoder", _ENCODER, "squasher"), ("decoder", _DECODER, "expander")):
        shapes |= {
            f"{there}{convolution}.0.0.weight": (dim, dim, 5),
            f"{there}{convolution}.0.0.bias": (dim,),
            f"{there}{side}_pos_embedding.pe": (length, 1, dim),
            f"{there}{side}_linear_embedding.net.weight": (dim, dim),
            f"{there}{side}_linear_embedding.net.bias": (dim,),
        }
        for layer in range(config.autoencoder_layers):
            look, forward = f"{_LAYERS[there]}{2 * layer}.fn.", f"{_LAYERS[there]}{2 * layer + 1}.fn."
            shapes |= {f"{part}norm.{end}": (dim,) for part in (look, forward) for end in ("weight", "bias")}
            shapes |= {
                f"{look}fn.to_qkv.weight": (3 * dim, dim),
                f"{look}fn.to_out.weight": (dim, dim),
                f"{look}fn.to_out.bias": (dim,),
                f"{forward}fn.l1.weight": (config.autoencoder_feed_forward, dim),
                f"{forward}fn.l1.bias": (config.autoencoder_feed_forward,),
                f"{forward}fn.l2.weight": (dim, config.autoencoder_feed_forward),
                f"{forward}fn.l2.bias": (dim,),
            }
    if not config.project_codes:
        return shapes | {f"{_OUT}bias": (num_values,)}
    return shapes | {
        f"{_POST}weight": (width, dim),
        f"{_POST}bias": (width,),
        f"{_PRE}weight": (dim, width),
        f"{_PRE}bias": (dim,),
    }
