"""Full precision for what half of it would spoil: geometry, whose differences are far smaller than its values."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.amp.autocast_mode import is_autocast_available


def full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Suspends mixed precision; without effect where none is on, or on a device that knows none."""
    return torch.autocast(device.type, enabled=False) if is_autocast_available(device.type) else nullcontext()


def half_precision_on_gpu(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 on a CUDA device, where a frozen judge gains by it; elsewhere what was chosen before stays."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
