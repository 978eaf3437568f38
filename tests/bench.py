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
