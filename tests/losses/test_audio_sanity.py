"""What the shipped mesh-to-speech model makes of a face that speaks at the wrong time, in the wrong order, or not at all.

The face is articulated from the phones of the shipped speech, whose voice the model never heard in training.
"""

import pytest
import torch
from torch import Tensor

from stages.artifacts.clips import read_phones_json
from stages.audio.log_mel import speech_log_mel
from stages.audio.waveform import load_waveform, to_int16
from stages.corpora.synthesis.articulation import MouthStyle, articulate
from stages.corpora.synthesis.phones import TimedPhones
from stages.heads.head import LinearHead, embedded_head
from stages.losses.audio_consistency import AudioConsistency, audio_consistency
from stages.models.mesh_to_speech import MeshToSpeech, load_mesh_to_speech
from stages.models.resampling import read_at
from stages.runtime.assets import asset_path

FPS = 25.0


class Speaking:
    """The shipped speech, its face, and the model that listens."""

    def __init__(self) -> None:
        import numpy as np

        self.judge, _ = load_mesh_to_speech(asset_path("m2s.h5"))
        self.head = LinearHead(embedded_head())
        self.waveform = torch.from_numpy(to_int16(load_waveform(asset_path("speech.wav"))))
        self.mel = speech_log_mel(self.waveform)
        self.mel = self.mel[: len(self.mel) // 4 * 4]
        self.units = self.judge.name_units(self.waveform, self.mel)
        records = read_phones_json(asset_path("speech.phones.json"))
        boundaries = np.array([*(phone.start_s for phone in records), records[-1].end_s])
        phones = TimedPhones(tuple(phone.label for phone in records), boundaries)
        curves = torch.from_numpy(articulate(phones, MouthStyle(), len(self.mel) // 4, FPS))
        self.motion = torch.nn.functional.pad(curves, (0, len(self.head.record.features) - curves.shape[1]))[None]

    def heard(self, motion: Tensor) -> AudioConsistency:
        many = len(motion)
        return audio_consistency(
            self.judge,
            self.head,
            motion,
            FPS,
            log_mel=self.mel.expand(many, -1, -1),
            units=self.units.expand(many, -1),
        )

    def loss(self, motion: Tensor) -> float:
        with torch.no_grad():
            return float(self.heard(motion).total())

    def later(self, seconds: float) -> Tensor:
        """The motion that far behind the sound; ahead of it where negative."""
        return read_at(self.motion, torch.arange(self.motion.shape[1]) - seconds * FPS)


@pytest.fixture(scope="module")
def speaking() -> Speaking:
    return Speaking()


@pytest.mark.parametrize("direction", [-1, 1])
def test_the_loss_rises_with_every_shift_in_time(speaking: Speaking, direction: int) -> None:
    losses = [speaking.loss(speaking.later(direction * ms / 1000)) for ms in (0, 40, 80, 160)]
    assert losses == sorted(losses)
    assert losses[0] < 0.99 * losses[1]
    assert losses[1] < 0.97 * losses[2]
    assert losses[2] < 0.97 * losses[3]


def test_frozen_lips_and_shuffled_frames_speak_worse(speaking: Speaking) -> None:
    true, motion = speaking.loss(speaking.motion), speaking.motion
    order = torch.randperm(motion.shape[1], generator=torch.Generator().manual_seed(0))
    for wrong in (motion[:, order], motion.mean(1, keepdim=True).expand_as(motion), torch.zeros_like(motion)):
        assert true < 0.75 * speaking.loss(wrong)


def test_nodding_and_blinking_are_no_speech(speaking: Speaking) -> None:
    lively = speaking.motion.clone()
    names = speaking.head.record.features
    for name in ("eyeBlinkLeft", "eyeBlinkRight", "browInnerUp", "headYaw", "headPitch"):
        lively[..., names.index(name)] = 0.5 * torch.sin(torch.arange(lively.shape[1]) / 3.0) ** 2
    assert speaking.loss(lively) == pytest.approx(speaking.loss(speaking.motion), rel=0.02)


def vertices_of(speaking: Speaking, num_frames: int) -> Tensor:
    """(1, T, V, 3) of the face without its pose."""
    return speaking.head.vertices(speaking.motion[:, :num_frames], pose=False)


def loss_of_vertices(speaking: Speaking, judge: MeshToSpeech, vertices: Tensor) -> Tensor:
    """The mel term of a face of any vertices, as `look_at` shows them to the model."""
    rest = speaking.head.template.to(vertices.dtype)
    num_mel_frames = vertices.shape[1] * 4
    visible = (vertices - rest)[..., judge.vertex_indices, :].flatten(-2)
    target = judge.normalise_mel(speaking.mel[None, :num_mel_frames].to(vertices.dtype))
    voice = judge.describe_voice(target)
    return (judge(visible, FPS, num_mel_frames, voice).log_mel - target).abs().mean()


def test_the_gradient_reaches_the_mouth_and_vanishes_on_the_scalp(speaking: Speaking) -> None:
    vertices = vertices_of(speaking, 60).requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of_vertices(speaking, speaking.judge, vertices), vertices)
    pull = gradient.abs().sum((0, 1, 3))  # (V,)
    regions = speaking.head.record.regions
    assert (pull[torch.from_numpy(regions["mouth"]).long()] > 0).all()
    assert (pull[torch.from_numpy(regions["lips"]).long()] > 0).all()
    outside = torch.ones(len(pull), dtype=torch.bool)
    outside[torch.from_numpy(regions["mouth"]).long()] = False
    assert (pull[outside] == 0).all()
    scalp = speaking.head.template[:, 1].argmax()
    assert outside[scalp]


def test_the_gradient_on_vertices_equals_finite_differences(speaking: Speaking) -> None:
    judge, _ = load_mesh_to_speech(asset_path("m2s.h5"))
    judge.double()
    vertices = vertices_of(speaking, 12).double().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of_vertices(speaking, judge, vertices), vertices)
    strongest = gradient.abs().flatten().topk(3).indices
    for index in strongest.tolist():
        step = torch.zeros_like(vertices).flatten()
        step[index] = 1e-8  # metres
        step = step.reshape(vertices.shape)
        with torch.no_grad():
            ahead = loss_of_vertices(speaking, judge, vertices + step)
            behind = loss_of_vertices(speaking, judge, vertices - step)
        difference = float(ahead - behind) / 2e-8
        assert float(gradient.flatten()[index]) == pytest.approx(difference, rel=1e-3)
