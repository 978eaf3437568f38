"""A user's wav2vec 2.0, HuBERT or WavLM folder, compared with what `transformers` itself makes of it."""

import json
import math
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.audio import pretrained
from stages.audio.pretrained import identity_of, load_pretrained
from stages.runtime.errors import ThunderError
from tests.pretrained_folder import DIM, NUM_LAYERS, write_pretrained_folder

pytest.importorskip("transformers")

KINDS = ("hubert", "wav2vec2", "wavlm")


def noise(num_samples: int, seed: int = 1) -> torch.Tensor:
    """Noise whose loudness changes, around a small offset."""
    loudness = 0.1 + 0.1 * torch.sin(torch.arange(num_samples) / 3000)
    return 0.05 + loudness * torch.randn(num_samples, generator=torch.Generator().manual_seed(seed))


def reference(network: Any, waveform: torch.Tensor, layer: int, *, normalise: bool = True) -> torch.Tensor:
    """What `transformers` makes of the sound with 200 samples of silence before it."""
    if normalise:
        waveform = (waveform - waveform.mean()) / torch.sqrt(waveform.var(correction=0) + 1e-7)
    n = len(waveform) // 320
    padded = torch.cat([torch.zeros(200), waveform])[: 400 + 320 * (n - 1)]
    with torch.no_grad():
        states = network(padded[None], output_hidden_states=True)
    return (states.last_hidden_state if layer == NUM_LAYERS else states.hidden_states[layer])[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pretrained_folder(tmp_path / "hubert")
    return tmp_path / "hubert"


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_transformers(tmp_path: Path, kind: str, large: bool) -> None:
    network = write_pretrained_folder(tmp_path, kind, large=large)
    waveform = noise(16_123)
    for layer in (1, NUM_LAYERS):
        encoder = load_pretrained(tmp_path, layer=layer)
        expected = reference(network, waveform, layer)
        assert expected.shape == (50, DIM)
        torch.testing.assert_close(encoder(waveform[None])[0], expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(encoder.features_of(waveform), expected, atol=1e-4, rtol=1e-4)
        assert (encoder.kind, encoder.layer, encoder.dim) == (kind, layer, DIM)


def test_waveform_is_normalised_only_where_the_folder_says_so(tmp_path: Path) -> None:
    network = write_pretrained_folder(tmp_path, large=True, do_normalize=False)
    waveform = noise(8000)
    as_it_is = load_pretrained(tmp_path, layer=2)
    torch.testing.assert_close(
        as_it_is(waveform[None])[0], reference(network, waveform, 2, normalise=False), atol=1e-4, rtol=1e-4
    )
    (tmp_path / "preprocessor_config.json").unlink()  # as `transformers`, which normalises unless told not to
    normalising = load_pretrained(tmp_path, layer=2)
    torch.testing.assert_close(normalising(7 * waveform[None] - 1), normalising(waveform[None]), atol=1e-3, rtol=1e-3)
    assert not torch.allclose(as_it_is(waveform[None]), normalising(waveform[None]), atol=0.1)


@pytest.mark.parametrize("large", [False, True])
def test_convolutions_in_pieces_are_those_of_the_whole(tmp_path: Path, large: bool) -> None:
    write_pretrained_folder(tmp_path, large=large)
    encoder = load_pretrained(tmp_path, layer=1)
    prepared = encoder._prepare(noise(16 * 16_000)[None])  # four pieces, the last a short one
    with torch.no_grad():
        whole = encoder.network.feature_extractor(prepared).transpose(1, 2)
        torch.testing.assert_close(encoder._convolve(prepared, 800), whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["hubert", "wavlm"])
def test_long_speech_in_windows_is_close_to_the_whole(tmp_path: Path, kind: str) -> None:
    write_pretrained_folder(tmp_path, kind)
    encoder = load_pretrained(tmp_path, layer=2)
    waveform = noise(65 * 16_000 + 77)
    whole, windows = encoder(waveform[None])[0], encoder.features_of(waveform)
    assert windows.shape == whole.shape == (3250, DIM)
    # What attention gathers from beyond a window is all that may differ; random weights attend to everything alike, and
    # even so it is a few hundredths of what sets one frame apart from another.
    error = (windows - whole).square().mean(1) / whole.var(0).mean()
    assert error.mean() < 0.03
    # A cut shows nowhere: frames beside one are no worse than those farthest from it.
    kept = math.ceil(3250 / 4)
    beside = torch.cat([error[cut - 5 : cut + 5] for cut in (kept, 2 * kept, 3 * kept)])
    assert beside.mean() < 3 * error.mean()


def test_frame_i_stands_at_i_fiftieths(tmp_path: Path) -> None:
    write_pretrained_folder(tmp_path, large=True, do_normalize=False)  # nothing here reaches over the whole recording
    encoder = load_pretrained(tmp_path, layer=1)
    waveform = noise(20 * 320 + 7).requires_grad_()
    heard = encoder.network.feature_extractor(encoder._prepare(waveform[None]))[0]  # (16, 20)
    assert heard.shape[1] == 20
    for frame in (1, 9, 19):
        (gradient,) = torch.autograd.grad(heard[:, frame].square().sum(), waveform, retain_graph=True)
        touched = torch.nonzero(gradient)
        first, last = int(touched.min()), int(touched.max())
        assert (first, last) == (320 * frame - 200, min(320 * frame + 199, 20 * 320 + 6))
        assert frame == 19 or (first + last) / 2 == 320 * frame - 0.5


@pytest.mark.parametrize("num_samples", [0, 1, 319, 320, 639, 640])
def test_shortest_sounds(folder: Path, num_samples: int) -> None:
    encoder = load_pretrained(folder, layer=1)
    for features in (encoder(noise(num_samples)[None])[0], encoder.features_of(noise(num_samples))):
        assert features.shape == (num_samples // 320, DIM)
        assert features.isfinite().all()


def test_silence_is_finite(folder: Path) -> None:
    assert load_pretrained(folder, layer=1).features_of(torch.zeros(8000)).isfinite().all()


def test_frozen_until_thawed(folder: Path) -> None:
    encoder = load_pretrained(folder, layer=2)
    around = torch.nn.ModuleDict({"encoder": encoder}).train()
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    waveform = noise(4000)[None].requires_grad_()
    assert torch.equal(encoder(waveform), encoder(waveform))  # no dropout, though the model around it trains
    encoder(waveform).square().sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.abs().sum() > 0

    encoder.thaw()
    assert not torch.equal(encoder(waveform), encoder(waveform))
    around.eval()
    assert torch.equal(encoder(waveform), encoder(waveform))
    around.train()
    encoder(waveform).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        is_convolution = name.startswith("network.feature_extractor.")
        assert parameter.requires_grad is not is_convolution, name
        # A bias of the keys changes no attention: its gradient is rounding error, but it is there.
        assert (parameter.grad is None) is is_convolution, name


def test_a_batch_is_its_items(folder: Path) -> None:
    encoder = load_pretrained(folder, layer=2)
    waveforms = torch.stack([noise(6400, seed) for seed in (1, 2)]) * torch.tensor([[1.0], [3.0]])
    alone = torch.cat([encoder(waveform[None]) for waveform in waveforms])
    torch.testing.assert_close(encoder(waveforms), alone, atol=1e-5, rtol=1e-4)


def test_weights_of_a_model_with_a_head_in_the_older_naming(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    older = tmp_path / "older"
    older.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (older / name).write_bytes((folder / name).read_bytes())
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    weights = {"lm_head.weight": torch.zeros(5, DIM)}
    for name, value in load_file(folder / "model.safetensors").items():
        if name != "masked_spec_embed":  # which some published folders lack, and only pretraining needs
            for new, old in names.items():
                name = name.replace(new, old)  # noqa: PLW2901
            weights[f"hubert.{name}"] = value
    torch.save(weights, older / "pytorch_model.bin")
    waveform = noise(4000)
    torch.testing.assert_close(
        load_pretrained(older, layer=2).features_of(waveform), load_pretrained(folder, layer=2).features_of(waveform)
    )


def test_half_precision_is_widened(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = {name: value.half() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors")
    assert load_pretrained(folder, layer=1).features_of(noise(4000)).dtype == torch.float32


def test_identity_is_that_of_every_file_that_decides(folder: Path) -> None:
    first = identity_of(folder)
    assert load_pretrained(folder, layer=1).identity == first
    (folder / "README.md").write_text("has no say")
    assert identity_of(folder) == first
    seen = {first}
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        with (folder / name).open("ab") as file:
            file.write(b" ")
        seen.add(identity_of(folder))
    assert len(seen) == 4


def test_nothing_asks_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load_pretrained(folder, layer=1)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def drop_weight(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    del weights["encoder.layers.0.attention.k_proj.weight"]
    save_file(weights, path)


def spoil_weight(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    weights["encoder.layer_norm.weight"][3] = torch.nan
    save_file(weights, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "incomplete, no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "neither model.safetensors nor pytorch_model.bin"),
        (lambda f: (f / "config.json").write_text("{"), "not readable as JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "wanted a JSON object, found list"),
        (lambda f: edit(f / "config.json", model_type="bert"), "wanted model_type wav2vec2, hubert, wavlm, found 'bert'"),
        (lambda f: edit(f / "config.json", hidden_size="big"), "does not describe a hubert network"),
        (lambda f: edit(f / "config.json", num_attention_heads=0), "does not describe a hubert network"),
        (lambda f: edit(f / "config.json", conv_stride=[5, 2, 2, 2, 2, 2, 1]), "found one in 160"),
        (lambda f: edit(f / "config.json", intermediate_size=40), "config.json says"),
        (lambda f: edit(f / "config.json", num_hidden_layers=1), "wanted layer 2, found layers 1 to 1"),
        (lambda f: edit(f / "config.json", num_hidden_layers=0), "wanted layer 2, found layers 1 to 0"),
        (lambda f: edit(f / "preprocessor_config.json", sampling_rate=8000), "wanted sampling_rate 16000, found 8000"),
        (lambda f: truncate(f / "model.safetensors"), "truncated or not a file of weights"),
        (lambda f: (f / "model.safetensors").write_text("version https://git-lfs"), "truncated or not a file of weights"),
        (lambda f: drop_weight(f / "model.safetensors"), "lacks encoder.layers.0.attention.k_proj.weight of"),
        (lambda f: spoil_weight(f / "model.safetensors"), "encoder.layer_norm.weight has values that are not finite"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_read_is_told_in_one_line(folder: Path, spoil: Any, message: str) -> None:
    spoil(folder)
    with pytest.raises(ThunderError) as caught:
        load_pretrained(folder, layer=2)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickles_run_nothing(folder: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    (folder / "model.safetensors").unlink()
    torch.save({"trap": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(ThunderError, match="not a file of weights"):
        load_pretrained(folder, layer=1)
    assert not (tmp_path / "sprung").exists()


def test_names_of_models_are_not_looked_up(tmp_path: Path) -> None:
    with pytest.raises(ThunderError, match=r"no such folder.*nothing is downloaded"):
        load_pretrained(tmp_path / "facebook" / "hubert-base-ls960")


def test_without_transformers_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ThunderError, match=r"pip install 'thunder-talking-heads\[pretrained\]'"):
        load_pretrained(folder, layer=1)


def test_reach_of_the_usual_convolutions() -> None:
    assert pretrained._reach_of([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2]) == 400
