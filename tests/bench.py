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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from trimesh import Trimesh

from stages.artifacts.clips import SAMPLE_RATE_HZ
from stages.audio.live_mel import LiveMel
from stages.audio.log_mel import long_log_mel
from stages.audio.waveform import load_waveform, to_int16, write_wav
from stages.diffusion.live_motion import LivePlan, live_motion
from stages.diffusion.long_motion import SamplingOptions, sample_long_motion
from stages.heads.head import Head, build_head, embedded_head, region_indices
from stages.models.codetalker import CodeTalker, CodeTalkerConfig
from stages.models.faceformer import FaceFormer, FaceFormerConfig
from stages.models.mesh_to_speech import MeshToSpeech, load_mesh_to_speech
from stages.models.motion_autoencoder import Unrolled
from stages.models.motion_denoiser import MotionDenoiser, load_motion_denoiser
from stages.models.reconstruction import reconstruct_mel, to_sound
from stages.models.vocoder import load_vocoder
from stages.rendering.backends import Backend
from stages.rendering.camera import portrait_camera
from stages.rendering.mouth_crops import draw_mouths, mouth_scene
from stages.rendering.scene import head_scene
from stages.runtime.assets import asset_path, find_asset
from stages.runtime.errors import ThunderError
from stages.runtime.pytorch3d import check_pytorch3d
from stages.sample import SampleConfig, find_model
from stages.sample_stream import StreamConfig
from stages.training.clips_in_memory import TrainingClip
from stages.training.diffusion_objective import DiffusionObjective, DiffusionWeights, Dropout, Scales
from stages.training.guidance import Guidance, GuidanceWeights
from stages.training.windows import WindowShape, draw_windows
from tests.models.naive_codetalker import RELEASED, NaiveCodeTalker
from tests.models.naive_faceformer import NaiveFaceFormer, masks_of

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
        _report_mesh_to_speech(report, denoiser)
        report(
            "first motion of a stream, its speech there", *_beside_reference(lambda: next(_stream(denoiser, waveform)))
        )
        timed = _beside_reference(lambda: list(_stream(denoiser, waveform)))
        report("stream, 10 s, 1 take", *timed, times_real_time=10 / timed[0])
        head, motion = build_head(embedded_head()), torch.rand(250, 55)
        timed = _beside_reference(lambda: head.vertices(motion))
        report("head, 250 frames to vertices", *timed, frames_per_s=250 / timed[0])
        _report_pictures(report, head)
        _report_animators(report)
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


def _report_mesh_to_speech(report: Callable[..., None], denoiser: MotionDenoiser) -> None:
    """Hearing, speaking, and what listening adds to a training step of the animator."""
    judge, record = load_mesh_to_speech(asset_path("m2s.h5"))
    head, motion = build_head(record), 0.3 * torch.rand(1, 250, len(record.features))
    mel, logits, voice = reconstruct_mel(judge, head, motion, 25.0, torch.zeros(10 * SAMPLE_RATE_HZ, dtype=torch.int16))
    waveform = torch.zeros(10 * SAMPLE_RATE_HZ, dtype=torch.int16)
    timed = _beside_reference(lambda: reconstruct_mel(judge, head, motion, 25.0, waveform))
    report("mesh to speech, 10 s", *timed, times_real_time=10 / timed[0])
    if (path := find_asset("vocoder.h5")) is not None:
        vocoder = load_vocoder(path)
        timed = _beside_reference(lambda: to_sound(mel, logits.argmax(-1), voice, vocoder))
        report("vocoder, 10 s", *timed, times_real_time=10 / timed[0])
    alone, listening = (_training_step(denoiser, head, listener) for listener in (None, judge))
    without, reference = _beside_reference(alone)
    report("a step of train-diffusion, batch 16", without, reference)
    beside, reference = _beside_reference(listening)
    report("the same with a model listening", beside, reference, added_share=beside / without - 1)


def _report_pictures(report: Callable[..., None], head: Head) -> None:
    """Mouth crops as lip readers see them, with gradients, and a frame of a film; beside PyTorch3D where it is installed."""
    motion = 0.3 * torch.rand(32, len(head.record.features))
    template = torch.from_numpy(head.record.template)
    camera = portrait_camera(template, chin=template[head.record.landmarks["chin"]])

    def crops(backend: Backend) -> Callable[[], None]:
        scene = mouth_scene(head.record, backend=backend)
        vertices = head.vertices(motion, indices=scene.vertices, pose=False).requires_grad_()
        return lambda: draw_mouths(scene, vertices)[0].sum().backward()

    def frame(backend: Backend) -> Callable[[], object]:
        scene = head_scene(head.record, camera, 512, 512, backend=backend)
        vertices = head.vertices(motion[:1])
        return lambda: scene.render(vertices)

    for name, work in (("32 crops of a mouth and their gradients", crops), ("a frame of 512 x 512", frame)):
        timed = _beside_reference(work("torch"))
        report(name, *timed)
        try:
            check_pytorch3d()
        except ThunderError:
            continue
        theirs = _beside_reference(work("pytorch3d"))
        report("the same by PyTorch3D", *theirs, times_ours=theirs[0] / timed[0])


@torch.no_grad()
def _report_animators(report: Callable[..., None]) -> None:
    """Decoding 20 s at the sizes published for VOCASET, beside the released codes' way: for each frame, all before it anew.

    Of 600 frames each in the middle of 200 is timed, as what one costs grows with those before it.
    """
    counts = 100, 300, 500
    sizes: dict[str, Any] = {"fps": 30.0, "subjects": ("ann",), "period": 30}
    # As many features as the published output layers have directions, and one for their biases.
    faceformer = FaceFormer(FaceFormerConfig(num_features=65, **sizes)).eval()
    codetalker = CodeTalker(CodeTalkerConfig(num_features=1025, project_codes=False, **sizes)).eval()
    bias, hears = masks_of(600, 600, 1, 30)
    for name, model, naive in (
        ("FaceFormer", faceformer, NaiveFaceFormer(None, "vocaset", 5023, dim=64)),
        ("CodeTalker", codetalker, NaiveCodeTalker(None, "vocaset", 5023, sizes=RELEASED)),
    ):
        memory = torch.randn(1, 600, model.config.dim)
        kept, anew, references = [], [], []
        for _ in range(REPEATS):
            references.append(_seconds(_reference))
            kept.append(200 * _seconds_of_frames(model, memory, counts))
            fed = [(memory[:, :n], memory, bias[:, :n, :n], hears[:n]) for n in counts]
            anew.append(200 * sum(_seconds(lambda net=naive, x=x: net.vertice_map(net.frame(*x)[-1])) for x in fed))
        seconds = statistics.median(kept)
        report(
            f"{name}, 20 s decoded",
            seconds,
            statistics.median(references),
            times_all_anew=statistics.median(anew) / seconds,
        )


def _seconds_of_frames(model: FaceFormer | CodeTalker, memory: torch.Tensor, counts: tuple[int, ...]) -> float:
    """What these frames take together, counted from 1; the others stay at rest."""
    say: dict[int, Callable[[torch.Tensor], torch.Tensor]] = {count: _speaker(model, count - 1) for count in counts}
    taken, ended = [], time.perf_counter()

    def timed(decoded: torch.Tensor) -> torch.Tensor:
        nonlocal ended
        made = say.get(len(taken) + 1, lambda _: torch.zeros(1, 1, model.config.num_features))(decoded)
        taken.append(time.perf_counter() - ended)
        ended = time.perf_counter()
        return made

    model.lead(memory[:, :, None], torch.tensor([1]), timed)
    return sum(taken[count - 1] for count in counts)


def _speaker(model: FaceFormer | CodeTalker, before: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """What makes a frame of the decoder's output, so many frames having been said before it."""
    if isinstance(model, FaceFormer):
        return model.out
    unrolled = Unrolled(model.autoencoder)
    unrolled.add(torch.randn(1, before, model.to_codes.out_features))
    return lambda decoded: unrolled.add(model.autoencoder.quantise(model.to_codes(decoded)))


def _training_step(denoiser: MotionDenoiser, head: Head, judge: MeshToSpeech | None) -> Callable[[], None]:
    """One step of the embedded animator's training on noise, in float32."""
    config, dice = denoiser.config, torch.Generator().manual_seed(1)
    clip = TrainingClip(
        "noise", "ann", "neutral", 0.0, torch.rand(400, config.num_features) / 10, torch.randn(1600, 80),
        torch.zeros(800, dtype=torch.long), torch.zeros(400, dtype=torch.long),
    )  # fmt: skip
    objective = DiffusionObjective(
        denoiser.requires_grad_(),
        head,
        face=torch.arange(400),
        lips=region_indices(head.record, "lips"),
        scales=Scales(0.01, 0.01, 0.01, 0.01, torch.ones(config.num_features)),
        weights=DiffusionWeights(),
        dropout=Dropout(),
        context_noise=0.1,
        guidance=None if judge is None else Guidance(head, GuidanceWeights(), judge=judge),
    ).train()
    shape = WindowShape(config.window, config.fps, config.context, denoiser.speech_margin)
    batch = draw_windows([clip], shape, 16, torch.Generator().manual_seed(0))
    told = torch.zeros(16, dtype=torch.long)

    def step() -> None:
        objective(batch, told, torch.zeros(16), told, dice)["loss"].backward()

    return step


def _stream(denoiser: torch.nn.Module, waveform: torch.Tensor) -> Iterator[torch.Tensor]:
    config = StreamConfig()
    options = SamplingOptions(num_steps=config.steps, guidance=config.guidance)
    plan = LivePlan(config.hop, config.look_ahead_s)
    return live_motion(denoiser, [waveform.numpy()], LiveMel(), 0, options, plan, steadied=[52, 53, 54], cutoff_hz=2.0)


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
