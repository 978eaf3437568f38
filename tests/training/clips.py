"""Training clips whose motion and speech tell the time, and whose speech follows from their motion."""

import torch

from stages.audio.log_mel import LOG_FLOOR
from stages.training.clips_in_memory import TrainingClip

NUM_FEATURES = 55


def clock_clip(num_frames: int, fps: float) -> TrainingClip:
    """Motion frame t holds t / fps in every feature, mel frame l holds l / 100 in every band, unit j is j."""
    num_mel_frames = (round(num_frames / fps * 100) + 1) // 2 * 2
    return TrainingClip(
        id="clock",
        subject="ann",
        emotion="neutral",
        intensity=0.0,
        motion=(torch.arange(num_frames) / fps)[:, None].expand(-1, NUM_FEATURES),
        log_mel=(torch.arange(num_mel_frames) / 100)[:, None].expand(-1, 80),
        units=torch.arange(num_mel_frames // 2),
        phones=torch.arange(num_frames) % 40,
    )


def telling_clip(num_frames: int, fps: float, seed: int = 0) -> TrainingClip:
    """A jaw that moves at syllable rate; the mel is loud and its unit high where the jaw is open."""
    generator = torch.Generator().manual_seed(seed)
    rates, phases = torch.rand(2, 3, generator=generator) * 2 + 1

    def opening(times: torch.Tensor) -> torch.Tensor:
        return (torch.sin(2 * torch.pi * rates * times[:, None] + 6 * phases).sum(1) / 6 + 0.5).clamp(0, 1)

    motion = torch.zeros(num_frames, NUM_FEATURES)
    motion[:, 17] = opening(torch.arange(num_frames) / fps)
    num_mel_frames = round(num_frames / fps * 100) // 2 * 2
    loud = opening(torch.arange(num_mel_frames) / 100)
    log_mel = LOG_FLOOR / 4 * (1 - loud)[:, None] + torch.linspace(0, 1, 80) * loud[:, None]
    units = (loud[::2] * 5.99).long()
    phones = (motion[:, 17] * 5.99).long()
    return TrainingClip(f"clip{seed}", "ann", "happy", 1.0, motion, log_mel, units, phones)
