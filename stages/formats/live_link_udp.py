"""The packets that the Live Link Face app sends to Unreal Engine, one a frame, by UDP.

    uint8     6, the version of the format
    string    device: int32 number of bytes, then the bytes
    string    subject, by which Unreal Engine lists the face
    int32     frame, counted from midnight          \\
    float32   fraction of a frame                    | what Unreal Engine calls the qualified
    int32     frames a second, numerator             | frame time
    int32     and denominator                       /
    uint8     61, how many values follow
    float32   52 curves, 0 to 1; yaw, pitch and roll of the head, of the left eye and of the right eye, radians

All of it big-endian. The values are those of a row of the app's CSV, but left stands before right in two pairs of curves.
"""

import socket
import struct
from datetime import datetime
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from stages.formats.live_link_face import EYE_ANGLES, eye_angles
from stages.heads.arkit import ARKIT_FEATURES
from stages.runtime.errors import ThunderError

VERSION = 6
_CSV_ORDER = (*ARKIT_FEATURES, *EYE_ANGLES)
_SWAPPED = {"jawLeft": "jawRight", "jawRight": "jawLeft", "mouthLeft": "mouthRight", "mouthRight": "mouthLeft"}
# The order of Unreal Engine's EARFaceBlendShape.
PACKET_ORDER = tuple(_SWAPPED.get(name, name) for name in _CSV_ORDER)
_COLUMNS = [_CSV_ORDER.index(name) for name in PACKET_ORDER]


def packets(
    motion: NDArray[np.float32], fps: float, first_frame: int, subject: str, device: str = "thunder"
) -> list[bytes]:
    """One packet a frame.

    Args:
        motion: (T, 55), columns as in `ARKIT_FEATURES`.
        fps: of the motion.
        first_frame: number of its first frame, counted from midnight.
        subject: the name that the receiver lists the face by.
        device: what the face comes from.
    """
    rate = Fraction(fps).limit_denominator(1001)
    head = struct.pack("!B", VERSION) + _string(device) + _string(subject)
    values = np.concatenate([motion, eye_angles(motion)], axis=1)[:, _COLUMNS].astype(">f4")
    return [
        head
        + struct.pack("!ifii", frame, 0.0, rate.numerator, rate.denominator)
        + struct.pack("!B", values.shape[1])
        + row.tobytes()
        for frame, row in enumerate(values, first_frame)
    ]


def frame_of_day(moment: datetime, fps: float) -> int:
    """The frame that a moment falls on, counted from midnight."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return int((moment - midnight).total_seconds() * fps)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!i", len(data)) + data


class LiveLinkSender:
    """Sends packets to one receiver.

    Attributes:
        num_sent: packets given to the network.
        num_refused: those of which the receiver's machine said that nobody listens there.
    """

    def __init__(self, target: str) -> None:
        """Finds the receiver.

        Args:
            target: HOST:PORT.

        Raises:
            ThunderError: not of that form, a host that is not known, or no way to it.
        """
        host, _, port = target.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
            raise ThunderError(f"--live wanted HOST:PORT such as 127.0.0.1:11111, found {target!r}")
        self.target = target
        self.num_sent = self.num_refused = 0
        self._socket: socket.socket | None = None
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.connect(address)
        except OSError as error:
            self.close()
            raise ThunderError(f"--live {target}: cannot be reached ({error.strerror}); check host and port") from error

    def send(self, packet: bytes) -> None:
        """Sends one packet; that nobody listens yet is no error, for the receiver may start later.

        Raises:
            ThunderError: the way to the receiver is gone.
        """
        assert self._socket is not None
        try:
            self._socket.send(packet)
            self.num_sent += 1
        except ConnectionRefusedError:
            # Said of the packet before this one, which was not sent for it.
            self.num_refused += 1
        except OSError as error:
            raise ThunderError(f"--live {self.target}: cannot be reached any more ({error.strerror})") from error

    @property
    def unheard(self) -> bool:
        """Whether nobody listened from beginning to end: then every packet sent is refused before the next one."""
        return self.num_refused > 0 and self.num_sent - self.num_refused <= 1

    def __enter__(self) -> "LiveLinkSender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the socket back."""
        if self._socket is not None:
            self._socket.close()
