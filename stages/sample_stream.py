"""`sample -`: one take of speech that is still being said, as Live Link Face rows or packets, frame by frame."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.artifacts.files import check_output
from stages.artifacts.head_record import HeadRecord
from stages.audio.live_mel import LiveMel
from stages.audio.pcm import PcmStream
from stages.diffusion.closures import Closer
from stages.diffusion.live_motion import LivePlan, live_motion
from stages.diffusion.motion_config import OWN, MotionConfig, sampling_options
from stages.diffusion.steadying import within_range
from stages.formats import live_link_face
from stages.formats.live_link_udp import LiveLinkSender, frame_of_day, packets
from stages.heads.arkit import ARKIT_FEATURES
from stages.heads.head import build_head, rotation_features
from stages.models.motion_denoiser import load_motion_denoiser
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.pacing import Pacer

_TOO_LATE_S = 1.0


class StreamConfig(MotionConfig):
    """Configuration of `sample -`: that of the motion, and

    Attributes:
        rate_hz: of the samples.
        hop: frames settled at a time. Fewer come sooner and cost more: the work of a window is done once a hop.
        look_ahead_s: speech that is waited for after the last frame of a hop. On synthetic and on human speech lips were as
            good as with all of it from 0.4 s on; with 0.2 s the mouth follows worse, with 0.1 s it comes late.
        loudness_dbfs: level of the loud parts of the speech, dB of full scale; None finds it out on the way.
        live_subject: the name by which Unreal Engine lists the face.
    """

    rate_hz: int = SAMPLE_RATE_HZ
    hop: int = Field(10, ge=1)
    look_ahead_s: float = Field(0.4, ge=0, le=60)
    loudness_dbfs: float | None = Field(None, ge=-100, le=0)
    live_subject: str = Field("thunder", min_length=1, max_length=255)


@dataclass
class StreamSummary:
    """What was sampled.

    Attributes:
        latency_s: longest time from a sound to its motion that the plan itself makes, computing aside.
        first_motion_s: from the arrival of the last sample that the first frames need to those frames.
        late_s: how late the latest packet was sent; 0 without packets.
    """

    model: Path
    latency_s: float
    frames: int = 0
    seconds_of_speech: float = 0.0
    first_motion_s: float = 0.0
    late_s: float = 0.0


def sample_stream(
    source: BinaryIO,
    config: StreamConfig,
    *,
    model: Path,
    csv: Path | TextIO | None = None,
    live: str | None = None,
    seed: int = 0,
    device: str = "auto",
    force: bool = False,
    say: Callable[[str], None] = lambda remark: None,
) -> StreamSummary:
    """Animates 16-bit little-endian mono PCM while it comes, to its end.

    Args:
        source: the samples.
        model: the animator.
        csv: file, or open text, that gets Live Link Face rows as they are made; a file that is interrupted keeps them.
        live: HOST:PORT that gets Live Link Face packets, each at its time.
        seed: of the take; it is take 0 of `sample` with this seed, up to the look-ahead.
        say: gets remarks worth a line while the stream goes on.

    Raises:
        ThunderError: no PCM, or PCM that ends inside a sample (all before it is animated); a model or option that does not
            fit; a receiver that cannot be reached.
        BrokenPipeError: whoever read `csv` has gone away.
    """
    if isinstance(csv, Path):
        check_output(csv, force=force, inputs=[model])
    if config.emotion == OWN:
        raise ThunderError(f"--emotion {OWN} is that of clips of a dataset; of a stream nobody knows it, name one")
    pcm = PcmStream(source, config.rate_hz)
    chosen_device = resolve_device(device)
    denoiser, record = load_motion_denoiser(model, chosen_device)
    columns = _arkit_columns(record, model)
    options = sampling_options(config, denoiser, model)
    fps, plan = denoiser.config.fps, LivePlan(config.hop, config.look_ahead_s)
    closer = Closer(build_head(record).to(chosen_device), config.closure)
    neck = [record.features.index(name) for name in rotation_features(record)]

    def animate(blocks: Iterable[NDArray[np.float32]], mel: LiveMel) -> Iterator[NDArray[np.float32]]:
        motion = live_motion(
            denoiser, blocks, mel, seed, options, plan, closer=closer, steadied=neck, cutoff_hz=config.neck_cutoff_hz
        )
        for frames in motion:
            if not torch.isfinite(frames).all():
                raise ThunderError(f"{model}: its motion is not finite; lower --guidance")
            yield within_range(frames, record).cpu().numpy()[:, columns]

    # What a first call does once (kernels chosen, memory taken) is done before anybody waits for it.
    for _ in animate([np.zeros(1, np.float32)], LiveMel(0.0, chosen_device)):
        pass
    summary, told_late = StreamSummary(model, plan.latency_s(fps)[1]), False
    mel, arrival = LiveMel(config.loudness_dbfs, chosen_device), _Arrival()
    with ExitStack() as stack:
        sender = None if live is None else stack.enter_context(LiveLinkSender(live))
        text = stack.enter_context(csv.open("w", encoding="ascii", newline="\n")) if isinstance(csv, Path) else csv
        pacer = None if sender is None else stack.enter_context(Pacer(_sending(sender, say), fps))
        midnight_frame = 0
        for motion in animate(arrival.noted(pcm), mel):
            if summary.frames == 0:
                summary.first_motion_s = time.perf_counter() - arrival.latest_s
                midnight_frame = frame_of_day(datetime.now(), fps)
            if text is not None:
                _write(text, csv, motion, fps, summary.frames)
            if pacer is not None:
                for packet in packets(motion, fps, midnight_frame + summary.frames, config.live_subject):
                    pacer.put(packet)
                if pacer.latest_s > _TOO_LATE_S and not told_late:
                    say(f"frames come more than {_TOO_LATE_S:g} s late; give fewer --steps or a larger --hop")
                    told_late = True
            summary.frames += len(motion)
    summary.seconds_of_speech = mel.num_samples / SAMPLE_RATE_HZ
    if pacer is not None:
        summary.late_s = pacer.latest_s
    if sender is not None and sender.unheard:
        raise ThunderError(f"--live {live}: nobody listened there; start the receiver, or check host and port")
    if pcm.ended_inside_a_sample:
        raise ThunderError(
            "standard input: ended inside a sample, wanted 16-bit little-endian mono PCM, an even number of bytes; all "
            "before it is animated"
        )
    return summary


class _Arrival:
    """Remembers when the latest block of speech came."""

    latest_s = 0.0

    def noted(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        for block in blocks:
            self.latest_s = time.perf_counter()
            yield block


def _arkit_columns(record: HeadRecord, path: Path) -> list[int]:
    """Where in the head's motion each ARKit feature stands."""
    missing = [name for name in ARKIT_FEATURES if name not in record.features]
    if missing:
        raise ThunderError(
            f"{path}: `sample -` wants a model of ARKit's curves, found head {record.name} ({record.kind}) without "
            f"{missing[0]}; sample a file, and export it"
        )
    return [record.features.index(name) for name in ARKIT_FEATURES]


def _write(text: TextIO, csv: Path | TextIO | None, motion: NDArray[np.float32], fps: float, first: int) -> None:
    """Writes the rows of some frames so that a reader has them at once."""
    # The last frame of second 0: a reader finds the rate however short the stream becomes.
    rows = live_link_face.rows(motion, fps, first, max(1, round(fps)) - 1)
    try:
        text.write(live_link_face.header() + rows if first == 0 else rows)
        text.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        where = str(csv) if isinstance(csv, Path) else "standard output"
        raise ThunderError(f"{where}: cannot be written ({error.strerror}); frames before {first} are kept") from error


def _sending(sender: LiveLinkSender, say: Callable[[str], None]) -> Callable[[bytes], None]:
    def send(packet: bytes) -> None:
        before = sender.num_refused
        sender.send(packet)
        if before == 0 and sender.num_refused == 1:
            say(f"nobody listens at {sender.target} yet; frames go on being sent")

    return send
