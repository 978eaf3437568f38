"""Choice of the device a stage computes on."""

from typing import TYPE_CHECKING

from stages.runtime.errors import ThunderError

if TYPE_CHECKING:
    import torch


def resolve_device(name: str = "auto") -> "torch.device":
    """The torch device for `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    `auto` is CUDA where there is any, else the CPU: `mps` has no 64-bit numbers, in which pictures are drawn and motion is
    measured, so that it serves only those who name it.

    Raises:
        ThunderError: the device is not known to torch or not present on this machine.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise NotImplementedError("computes nothing")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ThunderError(
            f"device {name!r} cannot be used on this machine; give --device auto or cpu, or see `thunder doctor`"
        ) from error
    return device
