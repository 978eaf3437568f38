"""Mesh-to-speech: what it sees of a face and what not, its gradients, and its files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from stages.artifacts.head_record import HeadRecord
from stages.heads.head import build_head
from stages.models.mesh_to_speech import (
    MelInput,
    MeshToSpeech,
    MeshToSpeechConfig,
    check_same_face,
    checkpoint_of,
    load_mesh_to_speech,
    look_at,
    visible_size,
)
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.builders import small_head, small_motion
from tests.heads.test_flame import flame_head

HEAD = small_head()
KINDS: tuple[MelInput, ...] = ("mouth2s", "face2s", "exp2s")


def model_of(kind: MelInput, head: HeadRecord = HEAD) -> MeshToSpeech:
    torch.manual_seed(0)
    size, indices = visible_size(head, kind)
    model = MeshToSpeech(
        MeshToSpeechConfig(
            input=kind, input_size=size, dim=16, num_layers=1, num_heads=2, kernel=5, num_units=8, voice_dim=8
        )
    )
    model.vertex_indices.copy_(indices)
    model.input_scale.fill_(0.01)
    return model.eval()


def motion_of(num_frames: int = 20) -> torch.Tensor:
    return torch.from_numpy(small_motion(num_frames))[None]


@pytest.mark.parametrize(("kind", "size"), [("mouth2s", 90), ("face2s", 192), ("exp2s", 52)])
def test_each_kind_sees_its_part(kind: MelInput, size: int) -> None:
    model = model_of(kind)
    visible = look_at(model, build_head(HEAD), motion_of())
    assert visible.shape == (1, 20, size)
    assert (look_at(model, build_head(HEAD), torch.zeros(1, 3, 55)) == 0).all()
    if kind == "face2s":
        expected = np.einsum("tk,kvc->tvc", motion_of()[0, :, :52].numpy(), HEAD.arrays["basis"]).reshape(20, -1)
        np.testing.assert_allclose(visible[0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_nodding_is_not_heard(kind: MelInput) -> None:
    model, head, motion = model_of(kind), build_head(HEAD), motion_of()
    nodding = motion.clone()
    nodding[..., 52:] = torch.randn(1, 20, 3)
    for quiet, nods in zip(
        model(look_at(model, head, motion), 25, 80), model(look_at(model, head, nodding), 25, 80), strict=True
    ):
        assert torch.equal(quiet, nods)


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_flame_head_the_jaw_is_seen_and_the_neck_is_not(kind: MelInput) -> None:
    record = flame_head(("jaw", "neck", "head"))
    model, head = model_of(kind, record), build_head(record)
    motion = 0.1 * torch.randn(1, 5, len(record.features))
    visible = look_at(model, head, motion)
    assert (look_at(model, head, torch.zeros_like(motion)) == 0).all()
    for name in ("jawX", "exp001", "neckX", "headZ"):
        changed = motion.clone()
        changed[..., record.features.index(name)] += 0.3
        assert torch.equal(look_at(model, head, changed), visible) == (name in ("neckX", "headZ"))


def test_gradient_reaches_what_moves_the_mouth_and_nothing_else() -> None:
    basis = HEAD.arrays["basis"].copy()
    basis[1::2, HEAD.regions["mouth"]] = 0  # every second curve leaves the mouth alone
    head = build_head(replace(HEAD, arrays=HEAD.arrays | {"basis": basis}))
    model, motion = model_of("mouth2s"), motion_of().requires_grad_()
    model(look_at(model, head, motion), 25, 80).log_mel.square().sum().backward()
    assert motion.grad is not None
    gradient = motion.grad.abs().sum((0, 1))  # (55,)
    assert (gradient[:52:2] > 0).all()
    assert (gradient[1:52:2] == 0).all()
    assert (gradient[52:] == 0).all()


def test_gradient_equals_finite_differences() -> None:
    model, head = model_of("mouth2s").double(), build_head(HEAD).double()
    motion = motion_of(6).double().requires_grad_()
    weights = torch.randn(1, 24, 80, dtype=torch.float64)

    def loudness(motion: torch.Tensor) -> torch.Tensor:
        # Without look_at's single precision, which differences of 1e-6 would drown in.
        shown = head.vertices(motion, indices=model.vertex_indices, pose=False)
        rest = head.vertices(torch.zeros_like(motion[:1, :1]), indices=model.vertex_indices, pose=False)
        return (model((shown - rest).flatten(-2), 25.0, 24).log_mel * weights).sum()

    (gradient,) = torch.autograd.grad(loudness(motion), motion)
    single = build_head(HEAD)
    (through_look_at,) = torch.autograd.grad(
        (model.float()(look_at(model, single, motion), 25.0, 24).log_mel * weights).sum(), motion
    )
    torch.testing.assert_close(through_look_at, gradient, atol=1e-3 * float(gradient.abs().max()), rtol=0)
    model.double()
    for frame, feature in [(0, 17), (3, 17), (5, 20)]:
        step = torch.zeros_like(motion)
        step[0, frame, feature] = 1e-6
        with torch.no_grad():
            difference = (loudness(motion + step) - loudness(motion - step)) / 2e-6
        assert float(gradient[0, frame, feature]) == pytest.approx(float(difference), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("fps", [25.0, 29.97, 30.0, 60.0])
def test_two_mel_frames_for_each_unit_at_any_rate(fps: float) -> None:
    model = model_of("exp2s")
    heard = model(torch.rand(2, round(2 * fps), 52), fps, 196, torch.zeros(2, 8))
    assert heard.log_mel.shape == (2, 196, 80)
    assert heard.unit_logits.shape == (2, 98, 8)


def test_an_open_voice_is_the_one_that_training_tells() -> None:
    model, visible = model_of("exp2s"), torch.rand(2, 20, 52)
    torch.testing.assert_close(model(visible, 25, 60).log_mel, model(visible, 25, 60, torch.zeros(2, 8)).log_mel)


def test_a_voice_is_a_direction_and_stays_what_it_is_however_often_it_speaks() -> None:
    model, mel = model_of("exp2s"), torch.randn(2, 40, 80)
    voice = model.describe_voice(mel)
    torch.testing.assert_close(voice.norm(dim=-1), torch.ones(2))
    assert not torch.allclose(voice[0], voice[1], atol=1e-3)
    once = model.describe_voice(mel.repeat(1, 6, 1))
    assert (once * voice).sum(-1).min() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_receives_gradient(kind: MelInput) -> None:
    model = model_of(kind)
    heard = model(look_at(model, build_head(HEAD), motion_of()), 25, 80, model.describe_voice(torch.randn(1, 40, 80)))
    (heard.log_mel.square().sum() + heard.unit_logits.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model, path = model_of("mouth2s"), tmp_path / "m2s.h5"
    model.centroids.normal_()
    checkpoint = checkpoint_of(model, dict(model.named_parameters()), HEAD, {"train.loss": np.array([[0.0, 2.0]])})
    write_checkpoint(path, "thunder.m2s", checkpoint, Provenance(seed=0, command="test"), force=False)
    return path


def test_a_model_read_back_hears_the_same(saved: Path) -> None:
    model = model_of("mouth2s")
    loaded, head = load_mesh_to_speech(saved)
    assert head.fingerprint == HEAD.fingerprint
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    visible = look_at(loaded, build_head(head), motion_of())
    for ours, theirs in zip(loaded(visible, 25, 80), model(visible, 25, 80), strict=True):
        assert torch.equal(ours, theirs)


def test_a_file_that_does_not_fit_is_named(saved: Path) -> None:
    whole = read_checkpoint(saved, "thunder.m2s")

    def written(**changes: object) -> Path:
        checkpoint = Checkpoint(**{**vars(whole), **changes})  # type: ignore[arg-type]
        write_checkpoint(saved, "thunder.m2s", checkpoint, Provenance(seed=0, command="test"), force=True)
        return saved

    without = {k: v for k, v in whole.weights.items() if k != "to_units.weight"}
    with pytest.raises(ThunderError, match=r"m2s\.h5: lacks to_units\.weight \(1 missing, 0 unknown\)"):
        load_mesh_to_speech(written(weights=without))
    with pytest.raises(ThunderError, match=r"m2s\.h5: has surplus, which"):
        load_mesh_to_speech(written(weights=whole.weights | {"surplus": np.zeros(1)}))
    with pytest.raises(ThunderError, match=r"to_units\.bias wanted shape \(8,\), found \(9,\)"):
        load_mesh_to_speech(written(weights=whole.weights | {"to_units.bias": np.zeros(9, "f4")}))
    with pytest.raises(ThunderError, match="input_size"):
        load_mesh_to_speech(written(config={k: v for k, v in whole.config.items() if k != "input_size"}))


def test_another_face_is_refused(saved: Path) -> None:
    other = replace(HEAD, faces=HEAD.faces[:-1], name="other")
    check_same_face(HEAD, small_head(seed=3), "mouth2s", saved)  # other shapes of the same mesh are fine
    with pytest.raises(ThunderError, match=r"m2s\.h5: trained on head small test head .* found motion of head other"):
        check_same_face(HEAD, other, "mouth2s", saved)
