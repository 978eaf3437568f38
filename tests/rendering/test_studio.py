import pytest
import torch

from stages.rendering.studio import Panel, Shoot, Studio, whole_frames_a_thread
from stages.runtime.errors import ThunderError
from tests.builders import small_head


def shoot(motion, num_workers=1):
    head = small_head()
    panel = Panel("take 2", "", motion, torch.from_numpy(head.template))
    return Shoot(Studio(head, 64, torch.device("cpu"), num_workers), "hello", [panel])


def test_vertices_that_are_not_finite_are_named():
    motion = torch.zeros(6, 55)
    motion[3] = torch.nan
    with pytest.raises(ThunderError, match="clip hello, take 2, frame 3: vertices that are not finite"):
        shoot(motion).draw(range(2, 5))


def test_a_head_that_turns_out_of_the_picture_is_named():
    motion = torch.zeros(6, 55)
    motion[4, -3] = 3.1  # the small head has no back
    with pytest.raises(ThunderError, match="clip hello, take 2, frame 4: a head that has left or filled"):
        list(shoot(motion, num_workers=2).runs(range(6)))


def test_runs_come_in_order_whoever_draws_them():
    motion = torch.zeros(9, 55)
    motion[:, -3] = torch.linspace(-0.3, 0.3, 9)
    alone = list(shoot(motion).runs(range(9)))
    together = list(shoot(motion, num_workers=3).runs(range(9)))
    assert sum(map(len, alone)) == 9
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))
    assert (alone[0][0] != alone[-1][-1]).any()


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    with whole_frames_a_thread() as num_workers:
        assert num_workers == before
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_oversampling_averages_a_finer_picture():
    motion = torch.zeros(1, 55)
    head = small_head()
    panel = Panel("take 0", "", motion, torch.from_numpy(head.template))
    plain, fine = (
        Shoot(Studio(head, 64, torch.device("cpu"), 1, oversampling=k), "hello", [panel]).draw([0])[0, 0].astype(int)
        for k in (1, 2)
    )
    assert plain.shape == fine.shape
    assert abs(plain - fine).mean() < 1
    assert (plain != fine).any()
