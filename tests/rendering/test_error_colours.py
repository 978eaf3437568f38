import numpy as np
import torch

from stages.rendering.error_colours import colour_bar, error_colours


def test_colours_darken_all_the_way_to_the_full_scale_and_stay_there():
    colours = error_colours(torch.linspace(0, 0.006, 61), 0.005)
    luminance = colours @ torch.tensor([0.2126, 0.7152, 0.0722])
    assert (luminance[:51].diff() < 0).all()
    assert torch.equal(colours[50], colours[60])
    torch.testing.assert_close(colours[0], (torch.tensor([226.0, 226, 222]) / 255) ** 2.2)


def test_the_bar_shows_the_scale_from_left_to_right():
    bar = colour_bar(5.0, "mm", 28, 600).astype(int)
    assert bar.shape == (28, 600, 3)
    middle = bar[14]
    coloured = np.flatnonzero(np.abs(middle - middle[:1]).sum(1) > 60)
    inside = middle[coloured]
    light, dark = (np.abs(inside - colour).sum(1).argmin() for colour in ((226, 226, 222), (74, 8, 66)))
    assert light < dark
    assert colour_bar(5.0, "mm", 24, 40).shape == (24, 40, 3)  # too narrow for words
