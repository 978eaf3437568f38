"""Auto-AVSR as its papers describe it, one clip at a time, over weights named as in its released checkpoints.

Written from the description, with none of the toolkit's modules: front ends as functional convolutions, relative attention as
a loop over heads that looks every pair's distance up in a table. Slow, and plain enough to be compared with.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]


def random_checkpoint(
    layout: str, *, channels: int = 4, dim: int = 24, heads: int = 3, layers: int = 2, kernel: int = 5, labels: int = 11
) -> Weights:
    """Random weights under the published names; `layout` is `both`, `picture`, `sound`, `new picture` or `new sound`."""
    made: Weights = {}

    def put(name: str, *shape: int) -> None:
        made[f"{name}.weight"] = torch.randn(shape) / math.sqrt(max(1, math.prod(shape[1:])))

    def put_linear(name: str, outputs: int, *inputs: int) -> None:
        put(name, outputs, *inputs)
        made[f"{name}.bias"] = 0.2 * torch.randn(outputs)

    def put_norm(name: str, size: int) -> None:
        made[f"{name}.weight"] = 1 + 0.2 * torch.randn(size)
        made[f"{name}.bias"] = 0.2 * torch.randn(size)

    def put_batch_norm(name: str, size: int) -> None:
        put_norm(name, size)
        made[f"{name}.running_mean"] = 0.2 * torch.randn(size)
        made[f"{name}.running_var"] = 0.5 + torch.rand(size)
        made[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def put_front_end(name: str, picture: bool) -> None:
        square = (3, 3) if picture else (3,)
        if picture:
            put(f"{name}frontend3D.0", channels, 1, 5, 7, 7)
            put_batch_norm(f"{name}frontend3D.1", channels)
        else:
            put(f"{name}trunk.conv1", channels, 1, 80)
            put_batch_norm(f"{name}trunk.bn1", channels)
        width = channels
        for stage in range(4):
            outputs = channels * 2**stage
            for k in range(2):
                block = f"{name}trunk.layer{stage + 1}.{k}."
                put(f"{block}conv1", outputs, width, *square)
                put_batch_norm(f"{block}bn1", outputs)
                put(f"{block}conv2", outputs, outputs, *square)
                put_batch_norm(f"{block}bn2", outputs)
                if stage and k == 0:
                    put(f"{block}downsample.0", outputs, width, *(1 for _ in square))
                    put_batch_norm(f"{block}downsample.1", outputs)
                width = outputs

    def put_attention(name: str) -> None:
        for part in ("q", "k", "v", "out"):
            put_linear(f"{name}linear_{part}", dim, dim)

    def put_feed_forward(name: str) -> None:
        put_linear(f"{name}w_1", 4 * dim, dim)
        put_linear(f"{name}w_2", dim, 4 * dim)

    def put_encoder(name: str) -> None:
        for k in range(layers):
            block = f"{name}encoders.{k}."
            for norm in ("norm_ff_macaron", "norm_mha", "norm_conv", "norm_ff", "norm_final"):
                put_norm(block + norm, dim)
            put_feed_forward(f"{block}feed_forward_macaron.")
            put_feed_forward(f"{block}feed_forward.")
            put_attention(f"{block}self_attn.")
            put(f"{block}self_attn.linear_pos", dim, dim)
            for bias in ("pos_bias_u", "pos_bias_v"):
                made[f"{block}self_attn.{bias}"] = 0.3 * torch.randn(heads, dim // heads)
            put_linear(f"{block}conv_module.pointwise_cov1", 2 * dim, dim, 1)
            put_linear(f"{block}conv_module.depthwise_conv", dim, 1, kernel)
            put_batch_norm(f"{block}conv_module.norm", dim)
            put_linear(f"{block}conv_module.pointwise_cov2", dim, dim, 1)
        put_norm(f"{name}after_norm", dim)

    new, kind = layout.startswith("new "), layout.removeprefix("new ")
    put_front_end("frontend." if new else "encoder.frontend.", kind != "sound")
    put_linear("proj_encoder" if new else "encoder.embed.0", dim, 8 * channels)
    put_encoder("encoder.")
    if kind == "both":
        put_front_end("aux_encoder.frontend.", False)
        put_linear("aux_encoder.embed.0", dim, 8 * channels)
        put_encoder("aux_encoder.")
        put_linear("fusion.fc1", 20, 2 * dim)
        put_batch_norm("fusion.bn1", 20)
        put_linear("fusion.fc2", dim, 20)
    put_linear("ctc.ctc_lo", labels, dim)
    put("decoder.embed.0", labels, dim)
    for k in range(layers):
        block = f"decoder.decoders.{k}."
        put_attention(f"{block}self_attn.")
        put_attention(f"{block}src_attn.")
        put_feed_forward(f"{block}feed_forward.")
        for norm in ("norm1", "norm2", "norm3"):
            put_norm(block + norm, dim)
    put_norm("decoder.after_norm", dim)
    put_linear("decoder.output_layer", labels, dim)
    return made


def read_clip(w: Weights, crops: Tensor, waveform: Tensor, text: list[int]) -> tuple[Tensor, Tensor]:
    """What a checkpoint makes of crops (T, 88, 88) in 0..1, of a normalised waveform (640 T,), or of both.

    Returns:
        Logits of CTC (T, labels), and of the decoder after every prefix of `text` (U, labels).
    """
    pictured = (crops - 0.421) / 0.165
    if "fusion.fc1.weight" in w:
        seen = encode(w, "encoder.", linear(w, "encoder.embed.0", look(w, "encoder.frontend.", pictured)))
        heard = listen(w, "aux_encoder.frontend.", waveform)
        heard = encode(w, "aux_encoder.", linear(w, "aux_encoder.embed.0", heard))
        met = batch_norm(w, "fusion.bn1", linear(w, "fusion.fc1", torch.cat([seen, heard], -1)))
        memory = linear(w, "fusion.fc2", met.relu())
    else:
        old = "encoder.embed.0.weight" in w
        name = "encoder.frontend." if old else "frontend."
        found = look(w, name, pictured) if f"{name}frontend3D.0.weight" in w else listen(w, name, waveform)
        memory = encode(w, "encoder.", linear(w, "encoder.embed.0" if old else "proj_encoder", found))
    return linear(w, "ctc.ctc_lo", memory), decode(w, memory, text)


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    weight = w[f"{name}.weight"]
    return x @ weight.reshape(len(weight), -1).T + w[f"{name}.bias"]


def norm(w: Weights, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def batch_norm(w: Weights, name: str, x: Tensor, axis: int = -1) -> Tensor:
    """By the statistics of training, along an axis."""
    shape = [1] * x.ndim
    shape[axis] = -1
    mean, variance, weight, bias = (
        w[f"{name}.{end}"].reshape(shape) for end in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def trunk(w: Weights, name: str, x: Tensor) -> Tensor:
    convolve = F.conv2d if x.ndim == 4 else F.conv1d
    for stage in range(4):
        for k in range(2):
            block = f"{name}trunk.layer{stage + 1}.{k}."
            stride = 2 if stage and k == 0 else 1
            inside = convolve(x, w[f"{block}conv1.weight"], stride=stride, padding=1)
            inside = convolve(swish(batch_norm(w, f"{block}bn1", inside, 1)), w[f"{block}conv2.weight"], padding=1)
            inside = batch_norm(w, f"{block}bn2", inside, 1)
            if f"{block}downsample.0.weight" in w:
                x = batch_norm(w, f"{block}downsample.1", convolve(x, w[f"{block}downsample.0.weight"], stride=2), 1)
            x = swish(inside + x)
    return x


def look(w: Weights, name: str, crops: Tensor) -> Tensor:
    x = F.conv3d(crops[None, None], w[f"{name}frontend3D.0.weight"], stride=(1, 2, 2), padding=(2, 3, 3))
    x = swish(batch_norm(w, f"{name}frontend3D.1", x, 1))
    x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))[0].transpose(0, 1)
    return trunk(w, name, x).mean((2, 3))


def listen(w: Weights, name: str, waveform: Tensor) -> Tensor:
    x = F.conv1d(waveform[None, None], w[f"{name}trunk.conv1.weight"], stride=4, padding=38)
    x = trunk(w, name, swish(batch_norm(w, f"{name}trunk.bn1", x, 1)))
    return F.avg_pool1d(x, 20)[0].T


def wave(position: int, dim: int) -> Tensor:
    """A position's sines and cosines by turns."""
    pairs = [(position / 10_000 ** (2 * k / dim)) for k in range(dim // 2)]
    return torch.tensor([f(angle) for angle in pairs for f in (math.sin, math.cos)], dtype=torch.float32)


def feed_forward(w: Weights, name: str, x: Tensor) -> Tensor:
    return linear(w, f"{name}w_2", linear(w, f"{name}w_1", x).relu())


def encode(w: Weights, name: str, x: Tensor) -> Tensor:
    dim = x.shape[1]
    x = x * math.sqrt(dim)
    for k in range(len({key.split(".")[2] for key in w if key.startswith(f"{name}encoders.")})):
        block = f"{name}encoders.{k}."
        x = x + 0.5 * feed_forward(w, f"{block}feed_forward_macaron.", norm(w, f"{block}norm_ff_macaron", x))
        x = x + relative_attention(w, f"{block}self_attn.", norm(w, f"{block}norm_mha", x))
        a, gate = linear(w, f"{block}conv_module.pointwise_cov1", norm(w, f"{block}norm_conv", x)).chunk(2, -1)
        kernel = w[f"{block}conv_module.depthwise_conv.weight"]
        inside = F.conv1d((a * torch.sigmoid(gate)).T[None], kernel, padding=kernel.shape[-1] // 2, groups=dim)[0].T
        inside = inside + w[f"{block}conv_module.depthwise_conv.bias"]
        inside = swish(batch_norm(w, f"{block}conv_module.norm", inside))
        x = x + linear(w, f"{block}conv_module.pointwise_cov2", inside)
        x = x + 0.5 * feed_forward(w, f"{block}feed_forward.", norm(w, f"{block}norm_ff", x))
        x = norm(w, f"{block}norm_final", x)
    return norm(w, f"{name}after_norm", x)


def relative_attention(w: Weights, name: str, x: Tensor) -> Tensor:
    length, dim = x.shape
    u, v_bias = w[f"{name}pos_bias_u"], w[f"{name}pos_bias_v"]
    heads, size = u.shape
    q, k, v = (linear(w, f"{name}linear_{part}", x).reshape(length, heads, size) for part in "qkv")
    waves = torch.stack([wave(i - j, dim) for i in range(length) for j in range(length)])
    places = (waves @ w[f"{name}linear_pos.weight"].T).reshape(length, length, heads, size)
    out = torch.zeros(length, heads, size)
    for h in range(heads):
        content = (q[:, h] + u[h]) @ k[:, h].T
        distance = ((q[:, h] + v_bias[h])[:, None] * places[:, :, h]).sum(-1)
        out[:, h] = ((content + distance) / math.sqrt(size)).softmax(-1) @ v[:, h]
    return linear(w, f"{name}linear_out", out.flatten(1))


def attention(w: Weights, name: str, x: Tensor, memory: Tensor, heads: int, *, backward_only: bool) -> Tensor:
    dim = x.shape[1]
    q, k, v = (
        linear(w, f"{name}linear_{part}", of).reshape(len(of), heads, dim // heads).transpose(0, 1)
        for part, of in (("q", x), ("k", memory), ("v", memory))
    )
    scores = q @ k.transpose(1, 2) / math.sqrt(dim // heads)
    if backward_only:
        scores = scores + torch.full(scores.shape[1:], -torch.inf).triu(1)
    return linear(w, f"{name}linear_out", (scores.softmax(-1) @ v).transpose(0, 1).flatten(1))


def decode(w: Weights, memory: Tensor, text: list[int]) -> Tensor:
    table = w["decoder.embed.0.weight"]
    dim, heads = table.shape[1], len(w["encoder.encoders.0.self_attn.pos_bias_u"])
    # The sign that ends a text begins it too.
    x = table[[len(table) - 1, *text]] * math.sqrt(dim) + torch.stack([wave(n, dim) for n in range(len(text) + 1)])
    for k in range(len({key.split(".")[2] for key in w if key.startswith("decoder.decoders.")})):
        block = f"decoder.decoders.{k}."
        inside = norm(w, f"{block}norm1", x)
        x = x + attention(w, f"{block}self_attn.", inside, inside, heads, backward_only=True)
        inside = norm(w, f"{block}norm2", x)
        x = x + attention(w, f"{block}src_attn.", inside, memory, heads, backward_only=False)
        x = x + feed_forward(w, f"{block}feed_forward.", norm(w, f"{block}norm3", x))
    return linear(w, "decoder.output_layer", norm(w, "decoder.after_norm", x))
