"""Reading one clock at the times of another."""

import pytest
import torch

from stages.models.resampling import change_rate, read_at


def test_values_between_frames_by_hand() -> None:
    signal = torch.tensor([0.0, 10.0, 40.0])[None, :, None]
    found = read_at(signal, torch.tensor([0.0, 0.25, 1.0, 1.5, 2.0]))
    assert found[0, :, 0].tolist() == pytest.approx([0, 2.5, 10, 25, 40])


def test_beyond_an_end_the_end_is_read() -> None:
    signal = torch.tensor([3.0, 5.0])[None, :, None]
    assert read_at(signal, torch.tensor([-4.0, 9.0]))[0, :, 0].tolist() == [3, 5]
    single = torch.full((2, 1, 4), 7.0)
    assert (read_at(single, torch.tensor([0.0, 0.5, 3.0])) == 7).all()


def test_each_item_has_its_own_positions() -> None:
    signal = torch.arange(24.0).reshape(2, 4, 3, 1)
    positions = torch.tensor([[0.0, 2.5], [3.0, 0.5]])
    found = read_at(signal, positions)
    assert found.shape == (2, 2, 3, 1)
    for item in range(2):
        torch.testing.assert_close(found[item], read_at(signal[item : item + 1], positions[item])[0])


@pytest.mark.parametrize("fps", [25.0, 29.97, 30.0, 50.0, 60.0])
def test_a_signal_that_tells_the_time_tells_it_on_another_clock(fps: float) -> None:
    signal = (torch.arange(round(4 * fps)) / fps)[None, :, None]
    found = change_rate(signal, fps, 50, 190)[0, :, 0]
    torch.testing.assert_close(found, torch.arange(190) / 50, atol=1e-5, rtol=0)


def test_gradient_reaches_the_frames_that_are_read() -> None:
    signal = torch.zeros(1, 5, 1, requires_grad=True)
    read_at(signal, torch.tensor([1.25])).sum().backward()
    assert signal.grad is not None
    assert signal.grad.flatten().tolist() == pytest.approx([0, 0.75, 0.25, 0, 0])
