"""Live Link Face packets: every byte where the app puts it, and a receiver that gets them."""

import socket
import struct
from datetime import datetime

import numpy as np
import pytest

from stages.formats.live_link_face import EYE_YAW_RANGE
from stages.formats.live_link_udp import PACKET_ORDER, LiveLinkSender, frame_of_day, packets
from stages.heads.arkit import ARKIT_FEATURES
from stages.runtime.errors import ThunderError


def test_a_packet_is_laid_out_as_the_app_does() -> None:
    motion = np.linspace(0, 1, 2 * len(ARKIT_FEATURES), dtype=np.float32).reshape(2, -1)
    first, second = packets(motion, 25.0, 1000, "thünder", "phone")
    assert len(first) == len(second) == 1 + 4 + 5 + 4 + 8 + 16 + 1 + 4 * 61
    assert first[:10] == b"\x06\x00\x00\x00\x05phone"
    assert first[10:22] == b"\x00\x00\x00\x08" + "thünder".encode()
    assert struct.unpack("!ifii", first[22:38]) == (1000, 0.0, 25, 1)
    assert struct.unpack("!ifii", second[22:38]) == (1001, 0.0, 25, 1)
    assert first[38] == 61
    values = dict(zip(PACKET_ORDER, struct.unpack("!61f", second[39:]), strict=True))
    for name, value in zip(ARKIT_FEATURES, motion[1], strict=True):
        assert values[name] == value
    outwards = motion[1, ARKIT_FEATURES.index("eyeLookOutLeft")] - motion[1, ARKIT_FEATURES.index("eyeLookInLeft")]
    assert values["leftEyeYaw"] == pytest.approx(outwards * EYE_YAW_RANGE)


def test_the_order_is_that_of_unreal_engine() -> None:
    assert PACKET_ORDER[14:23] == (
        "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
    )  # fmt: skip
    assert PACKET_ORDER[51:56] == ("tongueOut", "headYaw", "headPitch", "headRoll", "leftEyeYaw")
    assert len(set(PACKET_ORDER)) == len(PACKET_ORDER) == 61


@pytest.mark.parametrize(("fps", "rate"), [(30.0, (30, 1)), (30 / 1.001, (30_000, 1001)), (12.5, (25, 2))])
def test_rates_are_fractions(fps: float, rate: tuple[int, int]) -> None:
    (packet,) = packets(np.zeros((1, 55), np.float32), fps, 0, "s", "d")
    assert struct.unpack("!ii", packet[1 + 5 + 5 + 8 :][:8]) == rate


def test_frames_are_counted_from_midnight() -> None:
    assert frame_of_day(datetime(2026, 1, 1), 25.0) == 0
    assert frame_of_day(datetime(2026, 1, 1, 1, 0, 2, 100_000), 25.0) == 3602 * 25 + 2


def test_packets_arrive() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        with LiveLinkSender(f"127.0.0.1:{receiver.getsockname()[1]}") as sender:
            sender.send(b"one")
            sender.send(b"two")
            assert receiver.recv(100) + receiver.recv(100) == b"onetwo"
        assert (sender.num_sent, sender.num_refused, sender.unheard) == (2, 0, False)


def test_a_receiver_may_come_later_but_one_that_never_comes_is_noticed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with LiveLinkSender(f"localhost:{port}") as sender:
        for _ in range(4):
            sender.send(b"x")
        assert sender.num_refused >= 1
        assert sender.unheard
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", port))
            receiver.settimeout(5)
            for _ in range(3):
                sender.send(b"now")
            assert receiver.recv(100) == b"now"
        assert not sender.unheard


@pytest.mark.parametrize("target", ["", "host", "host:", ":1", "1.2.3.4:0", "1.2.3.4:x", "1.2.3.4:70000"])
def test_targets_are_host_and_port(target: str) -> None:
    with pytest.raises(ThunderError, match="--live wanted HOST:PORT"):
        LiveLinkSender(target)


def test_a_host_that_is_not_known_is_said() -> None:
    with pytest.raises(ThunderError, match=r"--live no\.such\.invalid:1: cannot be reached"):
        LiveLinkSender("no.such.invalid:1")
