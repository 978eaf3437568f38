"""`thunder sample -`: speech from a pipe to rows and packets, and every way in which a pipe can end."""

import io
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stages.artifacts.clips import open_clips
from stages.audio.waveform import write_wav
from stages.formats.live_link_face import read_live_link_face
from stages.sample_stream import StreamConfig, sample_stream
from tests import shell
from tests.builders import small_waveform
from tests.trained import tiny_workspace

QUICK = ("--steps", "2", "--device", "cpu")
SAMPLES = small_waveform(20_100)  # 1.256 s: 32 frames
PCM = SAMPLES.tobytes()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_workspace(tmp_path_factory.mktemp("trained"))


@pytest.fixture(autouse=True)
def folder(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(workspace / "diffusion.h5", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, pcm: bytes = PCM) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr of `thunder sample -`, line breaks of the terminal taken out."""
    return shell.run("sample", *QUICK, *arguments, given=pcm)


def test_rows_on_standard_output_are_a_live_link_face_file() -> None:
    code, stdout, stderr = run("-")
    assert code == 0, stderr
    Path("a.csv").write_text(stdout, encoding="ascii")
    motion, fps = read_live_link_face(Path("a.csv"))
    assert (motion.shape, fps) == ((32, 55), 25.0)
    assert 0 <= motion[:, :52].min() < motion[:, :52].max() <= 1
    assert "32 frames of 1.26 s of speech" in stderr
    assert "at most 760 ms after it" in stderr
    assert run("-")[1] == stdout
    assert run("-", "--seed", "1")[1] != stdout


def test_a_file_gets_the_rows_and_standard_output_the_summary() -> None:
    code, stdout, stderr = run("-", "-o", "a.csv", "--json", "--quiet", "--hop", "5", "--look-ahead", "0.2", "--n", "1")
    assert (code, stderr) == (0, "")
    told = json.loads(stdout)
    assert told["first_motion_ms"] >= 0
    assert told | {"first_motion_ms": 0} == {
        "wrote": "a.csv", "model": "diffusion.h5", "frames": 32, "speech_s": 1.26, "latency_ms": 360,
        "first_motion_ms": 0, "late_ms": 0,
    }  # fmt: skip
    assert len(read_live_link_face(Path("a.csv"))[0]) == 32
    code, _, stderr = run("-", "-o", "a.csv")
    assert code == 1
    assert "a.csv: exists already; give --force" in stderr
    assert run("-", "-o", "a.csv", "--force")[0] == 0


def test_with_all_the_speech_ahead_and_its_loudness_known_it_is_the_take_of_a_file() -> None:
    write_wav(Path("speech.wav"), SAMPLES)
    level = 10 * np.log10(np.quantile(np.square(SAMPLES[: 31 * 640].reshape(31, 640) / 32768).mean(1), 0.95))
    assert run("speech.wav", "--n", "1", "--seed", "7")[0] == 0
    with open_clips(Path("samples.h5"), "thunder.samples") as file:
        expected = file.read("speech").motion[0]
    code, _, stderr = run("-", "--seed", "7", "--look-ahead", "9", "--hop", "100", f"--loudness={level}", "-o", "a.csv")
    assert code == 0, stderr
    motion, _ = read_live_link_face(Path("a.csv"))
    np.testing.assert_allclose(motion[:, :52], expected[:, :52], atol=1e-3)
    np.testing.assert_allclose(motion[4:, 52:], expected[:-4, 52:], atol=2e-3)  # the head follows 160 ms behind


def test_other_rates() -> None:
    three_times = np.repeat(SAMPLES, 3).tobytes()
    assert run("-", "--rate", "48000", pcm=three_times)[1].count("\n") == 33
    code, _, stderr = run("-", "--rate", "100")
    assert code == 1
    assert "--rate wanted 8000 to 192000 Hz, found 100" in stderr


def test_packets_arrive_in_order_and_at_their_time() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        target = f"127.0.0.1:{receiver.getsockname()[1]}"
        code, stdout, stderr = run("-", "--live", target, "--json", "-o", "a.csv", "--quiet")
        assert code == 0, stderr
        found = [receiver.recv(1000) for _ in range(32)]
    assert json.loads(stdout)["sent_to"] == target
    frames = [struct.unpack("!i", packet[23:27])[0] for packet in found]
    assert frames == list(range(frames[0], frames[0] + 32))
    assert all(packet[12:23] == b"\x00\x00\x00\x07thunder" for packet in found)
    motion, _ = read_live_link_face(Path("a.csv"))
    jaw = [struct.unpack("!61f", packet[-244:])[17] for packet in found]
    np.testing.assert_array_equal(jaw, motion[:, 17])


def test_nobody_listening_is_said() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{probe.getsockname()[1]}"
    code, stdout, stderr = run("-", "--live", target, pcm=PCM[:12_800])
    assert code == 1
    assert stdout == ""
    assert f"nobody listens at {target} yet; frames go on being sent" in stderr
    assert f"--live {target}: nobody listened there" in stderr
    code, _, stderr = run("-", "--live", "nowhere")
    assert code == 1
    assert "--live wanted HOST:PORT such as 127.0.0.1:11111, found 'nowhere'" in stderr


def test_ways_in_which_a_pipe_ends() -> None:
    code, stdout, stderr = run("-", pcm=PCM[:-1])
    assert code == 1
    assert stdout.count("\n") == 33  # all that came is animated
    assert "standard input: ended inside a sample" in stderr
    code, stdout, stderr = run("-", pcm=b"")
    assert (code, stdout) == (1, "")
    assert "standard input: empty; wanted 16-bit little-endian mono PCM" in stderr
    write_wav(Path("speech.wav"), SAMPLES)
    code, stdout, stderr = run("-", pcm=Path("speech.wav").read_bytes())
    assert (code, stdout) == (1, "")
    assert "standard input: a WAV file, wanted 16-bit mono samples without a header; try `ffmpeg" in stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-", "--n", "2"), "a stream has one take, found 2"),
        (("-", "--rerank", "m2s"), "needs the whole speech"),
        (("-", "--split", "test"), "needs the whole speech"),
        (("-", "speech.wav"), "- stands alone"),
        (("speech.wav", "--live", "a:1"), "go with - alone"),
        (("speech.wav", "--hop", "5"), "go with - alone"),
        (("-", "-o", "a.h5"), "a stream is written as .csv"),
        (("-", "--json"), "standard output has the rows"),
    ],
)
def test_what_does_not_go_together_is_a_question_of_usage(arguments: tuple[str, ...], says: str) -> None:
    code, stdout, stderr = run(*arguments)
    assert (code, stdout) == (2, "")
    assert says in stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--hop", "0"), "--hop wanted at least 1, found 0"),
        (("--look-ahead", "-1"), "--look-ahead wanted at least 0, found -1"),
        (("--loudness", "3"), "--loudness wanted at most 0, found 3"),
        (("--emotion", "bored"), "knows no emotion 'bored'"),
        (("--emotion", "own"), "--emotion own is that of clips of a dataset; of a stream nobody knows it"),
        (("--model", "none.h5"), "none.h5: no such file"),
    ],
)
def test_options_out_of_range(arguments: tuple[str, ...], says: str) -> None:
    code, stdout, stderr = run("-", *arguments)
    assert (code, stdout) == (1, "")
    assert says in stderr


def test_a_reader_that_has_gone_away_ends_the_stream() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        sample_stream(io.BytesIO(PCM), StreamConfig(steps=2), model=Path("diffusion.h5"), csv=Gone(), device="cpu")


def test_rows_come_while_the_speech_goes_on_and_signals_end_it() -> None:
    command = [sys.executable, "-m", "thunder_cli", "sample", "-", *QUICK, "--quiet"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as interrupted, subprocess.Popen(command, **pipes) as unread:  # type: ignore[call-overload]
        for process in (interrupted, unread):
            process.stdin.write(PCM)
            process.stdin.flush()
            assert process.stdout.readline().startswith(b"Timecode")
            assert process.stdout.readline().startswith(b"00:00:00:24.000,61,")
        interrupted.send_signal(signal.SIGINT)
        assert interrupted.wait(60) == 130
        assert b"interrupted" in interrupted.stderr.read()
        unread.stdout.close()
        unread.stdin.write(PCM)
        unread.stdin.close()
        assert unread.wait(60) == 141
        assert unread.stderr.read() == b""
