"""How far a surface is from another as colours on it, and the bar that says what they mean."""

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stages.rendering.picture import INK, PAPER

# sRGB from no error to the full scale. Darker all the way, so that order survives colour blindness and grey print.
_STOPS = ((226, 226, 222), (252, 205, 98), (238, 106, 52), (178, 24, 72), (74, 8, 66))


def error_colours(distances: Tensor, full_scale: float) -> Tensor:
    """Linear RGB (..., 3) of distances (...), in the unit of `full_scale`; what is further off looks like the full scale."""
    stops = (distances.new_tensor(_STOPS) / 255) ** 2.2
    place = (distances / full_scale).clamp(0, 1) * (len(stops) - 1)
    lower = place.floor().clamp(max=len(stops) - 2).long()
    share = (place - lower)[..., None]
    return stops[lower] * (1 - share) + stops[lower + 1] * share


def colour_bar(full_scale: float, unit: str, height: int, width: int) -> np.ndarray:
    """A strip (height, width, 3) uint8: colours from 0 to the full scale, with numbers.

    Args:
        full_scale: in `unit`.
        unit: such as `mm`.
        height, width: pixels.
    """
    strip = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size=max(8, round(height * 0.5)))
    left, right = "distance from the recording  0", f"{full_scale:g} {unit} and more"
    if draw.textlength(left + right, font=font) > 0.7 * width:
        left, right = "0", f"{full_scale:g} {unit}"
    start = round(draw.textlength(left, font=font)) + height
    end = width - round(draw.textlength(right, font=font)) - height
    if end > start:
        linear = error_colours(torch.linspace(0, 1, end - start), 1.0)
        bar = np.broadcast_to(
            (linear.numpy() ** (1 / 2.2) * 255).round().astype(np.uint8), (height // 2, end - start, 3)
        )
        strip.paste(Image.fromarray(np.ascontiguousarray(bar)), (start, height // 4))
    draw.text((start - height / 3, height / 2), left, font=font, fill=INK, anchor="rm")
    draw.text((end + height / 3, height / 2), right, font=font, fill=INK, anchor="lm")
    return np.asarray(strip)
