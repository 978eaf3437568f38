"""`make bench`: how fast the toolkit is on this machine.

Seconds differ from machine to machine and from hour to hour, so every figure also stands as a ratio to a reference workload
(a float32 matrix product of 20 GFLOP) that is timed again beside it, in the same run.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from trimesh import Trimesh

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.audio.log_mel import long_log_mel
from stages.audio.waveform import load_waveform, to_int16, write_wav
from stages.diffusion.long_motion import SamplingOptions, sample_long_motion
from stages.heads.head import build_head, embedded_head
from stages.models.motion_denoiser import load_motion_denoiser
from stages.runtime.assets import asset_path
from stages.sample import SampleConfig, find_model

THUNDER = [sys.executable, "-m", "thunder_cli"]
REPEATS = 3


def main() -> None:
    """Measures and prints one line a figure, then all of them as JSON."""
    model = find_model(None)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores, model {model}")
    figures: dict[str, dict[str, float]] = {}

    def report(name: str, seconds: float, reference: float, **more: float) -> None:
        figures[name] = {"seconds": seconds, "ratio_to_reference": seconds / reference, **more}
        extra = "  ".join(f"{k} {v:.3g}" for k, v in more.items())
        print(f"{name:44} {seconds:8.3f} s   {seconds / reference:8.2f} × reference   {extra}")

    with tempfile.TemporaryDirectory() as folder:
        speech = {seconds: _speech(Path(folder), seconds) for seconds in (10, 60, 300)}
        report("thunder --help", *_beside_reference(lambda: _run("--help")))
        out = ["-o", str(Path(folder) / "samples.h5"), "--force", "--model", str(model)]
        whole = _beside_reference(lambda: _run("sample", str(speech[10]), "--n", "5", *out))
        report("thunder sample, 10 s, 5 takes, everything", *whole)
        denoiser, _ = load_motion_denoiser(model)
        waveform = torch.from_numpy(load_waveform(speech[10]))
        for takes in (1, 5):
            timed = _beside_reference(lambda n=takes: _sample(denoiser, waveform, n))
            report(f"sampling alone, 10 s, {takes} takes", *timed, times_real_time=10 / timed[0])
        head, motion = build_head(embedded_head()), torch.rand(250, 55)
        timed = _beside_reference(lambda: head.vertices(motion))
        report("head, 250 frames to vertices", *timed, frames_per_s=250 / timed[0])
        corpus, dataset = _write_meshes(Path(folder) / "corpus"), Path(folder) / "dataset.h5"
        seconds, plain = _preprocess_and_plain_copy(corpus, dataset)
        report(
            "preprocess (reference: plain read + write)", seconds, plain, share_of_plain_read_and_write=plain / seconds
        )
        memory = {s: _peak_mib("sample", str(speech[s]), "--n", "1", *out) for s in (10, 60, 300)}
        print("peak memory of `thunder sample --n 1`: " + ", ".join(f"{s} s {m:.0f} MiB" for s, m in memory.items()))
    print(json.dumps({"figures": figures, "peak_mib": memory}))


def _beside_reference(work: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of the work and of the reference, timed in turn."""
    work()
    times, references = [], []
    for _ in range(REPEATS):
        references.append(_seconds(_reference))
        times.append(_seconds(work))
    return statistics.median(times), statistics.median(references)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _reference() -> None:
    matrix = torch.ones(1000, 1000)
    for _ in range(10):
        matrix @ matrix


def _sample(denoiser: torch.nn.Module, waveform: torch.Tensor, takes: int) -> None:
    frames = round(len(waveform) / SAMPLE_RATE_HZ * denoiser.config.fps)
    options = SamplingOptions(num_steps=SampleConfig().steps, guidance=SampleConfig().guidance)
    sample_long_motion(denoiser, long_log_mel(waveform), frames, list(range(takes)), options)


def _write_meshes(folder: Path, clips: int = 64, seconds: int = 4) -> Path:
    """A corpus of meshes, 420 MB: the embedded head's curves at random, played to vertices."""
    record = embedded_head()
    head, rng = build_head(record), np.random.default_rng(0)
    (folder / "ann").mkdir(parents=True)
    Trimesh(record.template, record.faces, process=False).export(folder / "template.ply")
    (folder / "lips.txt").write_text(" ".join(map(str, record.regions["lips"])))
    (folder / "corpus.json").write_text('{"fps": 25}')
    for clip in range(clips):
        curves = rng.uniform(0, 0.3, (seconds * 25, len(record.features))).astype("f4")
        np.save(folder / "ann" / f"{clip}.npy", head.vertices(torch.from_numpy(curves)).numpy())
        noise = rng.normal(0, 3000, seconds * SAMPLE_RATE_HZ).astype("i2")
        write_wav(folder / "ann" / f"{clip}.wav", noise)
    return folder


def _preprocess_and_plain_copy(corpus: Path, dataset: Path) -> tuple[float, float]:
    """Median seconds of `thunder preprocess`, its start included, and of reading and writing as many bytes, in turn."""
    times, copies = [], []
    for _ in range(REPEATS):
        times.append(_seconds(lambda: _run("preprocess", str(corpus), "-o", str(dataset), "--force")))
        copies.append(_seconds(lambda: _read_and_write(corpus, dataset)))
    return statistics.median(times), statistics.median(copies)


def _read_and_write(folder: Path, like: Path) -> None:
    """Reads all files below a folder, one after another, and writes a file as large as `like`."""
    block = memoryview(bytearray(1 << 22))
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb", buffering=0) as file:
            while file.readinto(block):
                pass
    with like.with_suffix(".plain").open("wb", buffering=0) as file:
        for start in range(0, like.stat().st_size, len(block)):
            file.write(block[: like.stat().st_size - start])


def _run(*arguments: str) -> None:
    subprocess.run([*THUNDER, *arguments], check=True, capture_output=True)


def _peak_mib(*arguments: str) -> float:
    """Largest resident size of a thunder command in MiB."""
    program = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", program, *THUNDER, *arguments]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024


def _speech(folder: Path, seconds: int) -> Path:
    """The shipped speech, repeated or cut to a length."""
    waveform = load_waveform(asset_path("speech.wav"))
    path = folder / f"speech{seconds}.wav"
    write_wav(path, to_int16(np.resize(waveform, seconds * SAMPLE_RATE_HZ)))
    return path


if __name__ == "__main__":
    main()
