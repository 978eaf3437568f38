import numpy as np
import pytest
from PIL import Image

from stages.rendering.picture import PAPER, caption, grid, num_columns, write_png


def test_png_round_trip(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    write_png(tmp_path / "new" / "a.png", picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), picture)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.png"]


def test_grid_fills_rows_first_and_leaves_paper():
    panels = np.stack([np.full((2, 4, 3), k, np.uint8) for k in range(5)])
    sheet = grid(panels, 3)
    assert sheet.shape == (4, 12, 3)
    assert sheet[::2, ::4, 0].tolist() == [[0, 1, 2], [3, 4, PAPER[0]]]
    films = grid(np.stack([panels, panels + 10]), 5)
    assert films.shape == (2, 2, 20, 3)
    assert films[1, 0, ::4, 0].tolist() == [10, 11, 12, 13, 14]


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (5, 5), (6, 6), (8, 4), (20, 7)])
def test_few_panels_stand_in_one_row_and_many_near_the_shape_of_a_screen(count, columns):
    assert num_columns(count, 0.8) == columns


def test_captions_have_ink_and_are_cut_where_they_do_not_fit():
    short, long = caption("take 1", 24, 200), caption("a very long name " * 20, 24, 200)
    assert short.shape == long.shape == (24, 200, 3)
    assert short.max() > 150
    assert (long[:, :4] == PAPER).all()
    assert (long[:, -4:] == PAPER).all()


def test_all_that_is_said_of_a_take_has_room_below_it():
    """The last figure of the longest label is on a panel of the usual size, and of that of a talk."""
    label = "s055_0004 · take 0 · seed 12 · M2S 0.712 · lips off by 4.3"
    for height, width in ((24, 384), (36, 576)):
        assert not np.array_equal(caption(f"{label}1 mm", height, width), caption(f"{label}8 mm", height, width))


def test_captions_leave_out_words_that_the_font_cannot_write():
    assert np.array_equal(caption("s1 · 今天天气 is 1.40 s", 24, 300), caption("s1 · is 1.40 s", 24, 300))
    assert np.array_equal(caption("नमस्ते", 24, 300), caption("", 24, 300))
    assert not np.array_equal(caption("Häuser à côté, ñandú", 24, 300), caption("Huser ct, and", 24, 300))
