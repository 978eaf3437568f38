import dataclasses
import json
import sys

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from stages.artifacts.clips import open_clips, write_clips
from stages.heads.head import region_indices
from stages.render import render
from stages.rendering import studio
from stages.rendering.comparison import compared
from stages.rendering.studio import Panel, Studio
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.builders import small_clip, small_head
from tests.rendering import films, pytorch3d_stand_in
from thunder_cli.commands.render import render as command
from thunder_cli.console import ThunderGroup


def calm(num_frames, seed, takes=None):
    """Motion without head turns, so that the small head stays in the picture."""
    clip = small_clip(num_frames=num_frames, seed=seed)
    motion = clip.motion.copy()
    motion[:, -3:] = 0.05 * motion[:, -3:]
    return motion if takes is None else np.stack([motion + 0.02 * k for k in range(takes)])


def write_samples(path, *, clips=("a",), takes=3, num_frames=12, fps=25.0, spoil=None):
    with write_clips(path, "thunder.samples", small_head(), Provenance(seed=0, command="test"), force=True) as writer:
        for k, clip_id in enumerate(clips):
            motion = calm(num_frames, k, takes)
            if spoil and clip_id == clips[0]:
                take, frame, value = spoil
                motion[take, frame] = value
            clip = small_clip(clip_id, num_frames=num_frames, fps=fps, seed=k)
            writer.add(dataclasses.replace(clip, motion=motion, seed=np.arange(takes) + 10))
    return path


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer(cls=ThunderGroup, pretty_exceptions_enable=False)
    app.command("render")(command)
    app.callback()(lambda: None)

    def run(*arguments):
        return CliRunner().invoke(app, ["render", *map(str, arguments)])

    return run


def test_a_film_of_three_takes(tmp_path):
    samples = write_samples(tmp_path / "samples.h5", fps=30.0)
    result = render(samples, tmp_path / "takes.mp4", panel_height=80)
    assert result.files == [tmp_path / "takes.mp4"]
    assert result.num_frames == 36
    duration, words = films.describe(tmp_path / "takes.mp4")
    assert duration == pytest.approx(12 / 30, abs=0.05)
    assert "Audio: aac" in words
    assert "30 fps" in words
    shown = films.frames(tmp_path / "takes.mp4", 80 + 16, 3 * 64)
    assert len(shown) == 12
    assert (shown[:, :80].reshape(12, 80, 3, 64, 3).std((1, 3)) > 5).all()  # a head in every panel of every frame
    assert not np.array_equal(shown[0], shown[6])  # that moves


def test_a_face_moves_when_its_sound_begins(tmp_path):
    """From motion and speech to a film read back: a mouth that opens in one frame, and a click at the same time."""
    samples, fps, frame = write_samples(tmp_path / "calm.h5", takes=1, num_frames=24, fps=30.0), 30.0, 13
    with open_clips(samples) as file:
        clip, head = file.read("a"), file.head
    motion, speech = np.zeros_like(clip.motion), np.zeros_like(clip.waveform)
    motion[:, frame:, 0] = 1
    at = round(frame / fps * 16_000)
    speech[at : at + 200] = 20_000 * np.sin(np.arange(200) * 0.4)
    moved = dataclasses.replace(clip, motion=motion, waveform=speech)
    with write_clips(tmp_path / "m.h5", "thunder.samples", head, Provenance(seed=0, command="test"), force=True) as w:
        w.add(moved)
    render(tmp_path / "m.h5", tmp_path / "film.mp4", panel_height=80, captions=False)
    shown = films.frames(tmp_path / "film.mp4", 80, 64).astype(int)
    changes = np.abs(np.diff(shown, axis=0)).mean((1, 2, 3))
    assert changes.argmax() == frame - 1
    assert changes[frame - 1] > 5 * np.delete(changes, frame - 1).max()
    seen_s = films.times(tmp_path / "film.mp4")[frame]
    heard_s = np.argmax(np.abs(films.sound(tmp_path / "film.mp4", 16_000)) > 0.2) / 16_000
    assert seen_s == pytest.approx(frame / fps, abs=0.002)
    assert abs(heard_s - seen_s) < 0.5 / fps


def test_several_clips_are_several_films_and_one_take_may_be_chosen(tmp_path):
    samples = write_samples(tmp_path / "samples.h5", clips=("a", "b.2"))
    result = render(samples, tmp_path / "takes.mp4", panel_height=80, takes=[1])
    assert [p.name for p in result.files] == ["takes.a.mp4", "takes.b.2.mp4"]
    assert films.frames(result.files[1], 96, 64).shape[0] == 12


def test_what_is_drawn_does_not_depend_on_how_frames_are_cut_into_runs(tmp_path, monkeypatch):
    samples = write_samples(tmp_path / "samples.h5")
    sheets = []
    for at_once in (1, 4, 64):
        monkeypatch.setitem(studio.PICTURES_AT_ONCE, "cpu", at_once)
        render(samples, tmp_path / "a.png", output_format="png", panel_height=64, num_stills=5, force=True)
        sheets.append(np.asarray(Image.open(tmp_path / "a.png")).astype(int))
    assert all(np.abs(sheet - sheets[0]).max() <= 1 for sheet in sheets)


def test_a_sheet_has_a_row_for_each_take_after_the_reference(tmp_path):
    samples = write_samples(tmp_path / "samples.h5", clips=("s1_clip",), num_frames=30)
    dataset = calm_dataset(tmp_path / "dataset.h5", num_frames=20)  # shorter than the takes
    result = render(
        samples, tmp_path / "a.png", output_format="png", panel_height=60, num_stills=4, reference_path=dataset
    )
    sheet = np.asarray(Image.open(result.files[0]))
    assert sheet.shape == (16 + 4 * (60 + 16), 4 * 48, 3)


@pytest.mark.parametrize("output_format", ["webm", "mov", "gif", "frames"])
def test_other_films_hold_every_frame(tmp_path, output_format):
    samples = write_samples(tmp_path / "samples.h5", takes=2)
    path = tmp_path / f"takes.{output_format}"
    assert render(samples, path, output_format=output_format, panel_height=64).num_frames == 24
    if output_format == "frames":
        pictures = np.stack([np.asarray(Image.open(p)) for p in sorted(path.glob("*.png"))])
        assert films.sound(path / "speech.wav", 16_000).std() > 0
    else:
        pictures = films.frames(path, 64 + 16, 2 * 52)
    assert pictures.shape == (12, 80, 104, 3)
    assert (pictures[:, :64].reshape(12, 64, 2, 52, 3).std((1, 3)) > 5).all()


def test_without_background_and_captions_a_head_stands_alone(tmp_path):
    samples = write_samples(tmp_path / "samples.h5", takes=1)
    render(samples, tmp_path / "a", output_format="frames", panel_height=64, transparent=True, captions=False)
    render(samples, tmp_path / "b", output_format="frames", panel_height=64, captions=False)
    alone, before_a_wall = (np.asarray(Image.open(tmp_path / name / "000003.png")).astype(int) for name in "ab")
    assert alone.shape == (64, 52, 4)
    seen = alone[..., 3]
    assert (seen[:2] == 0).all()
    assert (seen == 255).mean() > 0.2
    assert ((seen > 0) & (seen < 255)).any()  # a smooth outline
    assert np.abs(alone[..., :3] - before_a_wall)[seen == 255].max() <= 1


def test_errors_are_shown_on_the_surface_in_millimetres(tmp_path):
    samples = write_samples(tmp_path / "samples.h5", clips=("s1_clip",), takes=2, num_frames=3)
    with open_clips(samples) as file:
        clip, head = file.read("s1_clip"), file.head
    with write_clips(
        tmp_path / "d.h5", "thunder.dataset", head, Provenance(seed=0, command="test"), force=True
    ) as writer:
        writer.add(dataclasses.replace(clip, motion=clip.motion[0], seed=None))
    options = {"output_format": "frames", "panel_height": 64, "reference_path": tmp_path / "d.h5", "captions": False}
    for name, scale in (("fine", 0.01), ("coarse", 1000.0)):
        render(samples, tmp_path / name, error_scale_mm=scale, **options)
    fine, coarse = (np.asarray(Image.open(tmp_path / name / "000001.png")).astype(int) for name in ("fine", "coarse"))
    assert fine.shape == (64 + 20, 3 * 52, 3)
    recorded, same, other = np.split(fine[:64], 3, axis=1)
    assert np.array_equal(recorded, same)  # take 0 is what was recorded
    assert np.abs(other - same).max() > 60
    recorded, _, other = np.split(coarse[:64], 3, axis=1)
    assert np.abs(other - recorded).mean() < 3  # a metre is far
    studio = Studio(head, 64, torch.device("cpu"), 1)
    motion = torch.from_numpy(clip.motion)
    panels = [Panel(str(k), f"take {k}", motion[k], studio.head.template) for k in (0, 0, 1)]
    labels = [panel.label for panel in compared(panels, head, 1.0)]
    lips = studio.head.vertices(motion, indices=region_indices(head, "lips"), pose=False)
    error = 1e3 * (lips[1] - lips[0]).norm(dim=-1).amax(-1).mean()
    assert labels == ["take 0", "take 0 · lips off by 0.00 mm", f"take 1 · lips off by {error:.2f} mm"]


def test_captions_say_how_badly_a_take_speaks_where_that_is_known(tmp_path):
    samples = write_samples(tmp_path / "samples.h5", takes=2, num_frames=2)
    with open_clips(samples) as file:
        clip, head = file.read("a"), file.head
    scored = dataclasses.replace(clip, audio_consistency=np.array([0.5, 0.71234]))
    with write_clips(tmp_path / "m.h5", "thunder.samples", head, Provenance(seed=0, command="test"), force=True) as w:
        w.add(scored)
    for path, seen in ((samples, False), (tmp_path / "m.h5", True)):
        render(path, tmp_path / "takes.html", output_format="html", force=True)
        assert ("take 1 · seed 11 · M2S 0.712" in (tmp_path / "takes.html").read_text("utf-8")) == seen


def calm_dataset(path, num_frames=30, fps=25.0, vertices=False):
    """Clips s0_clip and s1_clip."""
    with write_clips(path, "thunder.dataset", small_head(), Provenance(seed=0, command="test"), force=True) as writer:
        for k in range(2):
            clip = small_clip(f"s{k}_clip", num_frames=num_frames, fps=fps, seed=k)
            motion = calm(num_frames, k)
            exact = None
            if vertices:
                exact = np.broadcast_to(small_head().template, (num_frames, 64, 3))
            writer.add(dataclasses.replace(clip, motion=motion, vertices=exact))
    return path


def test_a_dataset_is_filmed_as_recorded_from_its_exact_vertices(tmp_path):
    dataset = calm_dataset(tmp_path / "dataset.h5", vertices=True)
    result = render(
        dataset, tmp_path / "d.png", output_format="png", clip_ids=["s1_clip"], panel_height=60, num_stills=3
    )
    sheet = np.asarray(Image.open(result.files[0]))
    first, _, last = np.split(sheet[16:76], 3, axis=1)
    assert np.array_equal(first, last)  # the vertices stand still, whatever the motion says


def test_a_frame_that_shows_no_head_fails_the_film(tmp_path):
    samples = write_samples(tmp_path / "samples.h5", spoil=(1, 7, 40.0))
    with pytest.raises(ThunderError, match="clip a, take 1, frame 7: a head that has left or filled the picture"):
        render(samples, tmp_path / "takes.mp4", panel_height=80)
    assert [p.name for p in tmp_path.iterdir()] == ["samples.h5"]


def test_one_clip_of_two_that_fails_leaves_the_other_and_exit_1(cli, tmp_path):
    write_samples(tmp_path / "samples.h5", clips=("a", "b"), spoil=(1, 7, 40.0))
    result = cli("--size", 80, "--quiet")
    assert result.exit_code == 1
    assert "1 of 2 clips failed: a: clip a, take 1, frame 7" in " ".join(result.output.split())
    assert (tmp_path / "takes.b.mp4").exists()
    assert not (tmp_path / "takes.a.mp4").exists()


def test_the_command_writes_what_it_says(cli, tmp_path):
    write_samples(tmp_path / "samples.h5")
    result = cli("samples.h5", "-o", "sheet.png", "--takes", "0,2", "--size", 60, "--columns", 3, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"files": ["sheet.png"], "frames": 6, "failures": []}
    assert Image.open(tmp_path / "sheet.png").size == (3 * 48, 16 + 2 * 76)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["none.h5"], 1, "none.h5: no such file"),
        (["--clip", "zz"], 1, "samples.h5: no clip 'zz'"),
        (["--takes", "5"], 1, "clip a has takes 0 to 2, but --takes names 5"),
        (["--takes", "x"], 2, "--takes wanted numbers"),
        (["-o", "film.avi"], 2, "wanted a name that ends in .mp4, .webm, .mov, .gif"),
        (["--transparent"], 1, "mp4 has a background always; wanted webm, mov, png or frames"),
        (["--errors", "4"], 1, "name the dataset with --reference"),
        (["--errors", "0", "--reference", "dataset.h5"], 1, "--errors wanted millimetres"),
        (["-o", "dataset.h5", "--format", "frames"], 1, "dataset.h5: a file, wanted a folder"),
        (["-o", "film.mp4", "--format", "png"], 2, "--format png wants a name that ends in .png"),
        (["-o", "taken.mp4"], 1, "taken.mp4: exists already"),
        (["--size", "5"], 1, "panel height wanted 32 to 4096"),
        (["--columns", "0", "--format", "png"], 1, "1 to 64 columns"),
        (["--columns", "4"], 1, "--columns: those of a contact sheet, and mp4 is none"),
        (["--columns", "4", "-o", "a.html"], 1, "--columns: those of a contact sheet, and html is none"),
        (["--size", "300", "-o", "a.html"], 1, "--size: a page is laid out and drawn by its reader's browser"),
        (["--no-captions", "-o", "a.html"], 1, "--no-captions: a page is laid out"),
        (["--device", "cuda", "-o", "a.html"], 1, "--device: a page is laid out"),
        (["--backend", "pytorch3d", "-o", "a.html"], 1, "--backend: a page is laid out"),
        (["--backend", "opengl"], 2, "--backend wanted one of torch, pytorch3d, found 'opengl'"),
        (["--reference", "samples.h5"], 1, "wanted thunder.dataset, found thunder.samples"),
        (["--reference", "dataset.h5"], 1, "dataset.h5: no clip 'a'"),
        (["--reference", "fast.h5", "--clip", "s0_clip"], 1, "clip s0_clip has 30 fps"),
        (["--device", "cuda:77"], 1, "device 'cuda:77' cannot be used"),
        (["dataset.h5", "--takes", "1", "--clip", "s0_clip"], 1, "a dataset holds one take"),
    ],
)
def test_errors_are_one_line(cli, tmp_path, arguments, exit_code, message):
    write_samples(tmp_path / "samples.h5", clips=("a", "s0_clip") if "s0_clip" in arguments else ("a",))
    calm_dataset(tmp_path / "dataset.h5")
    calm_dataset(tmp_path / "fast.h5", fps=30.0)
    (tmp_path / "taken.mp4").write_bytes(b"")
    before = {p.name for p in tmp_path.iterdir()}
    result = cli(*arguments)
    assert result.exit_code == exit_code, result.output
    shown = " ".join(result.output.replace("│", " ").split())
    assert message in shown
    if exit_code == 1:
        assert result.stderr.count("\n") == 1
    assert {p.name for p in tmp_path.iterdir()} == before


def test_pytorch3d_draws_the_same_sheet_where_it_is_asked_for(cli, tmp_path, monkeypatch):
    write_samples(tmp_path / "samples.h5", takes=1)
    calls = []
    pytorch3d_stand_in.install(monkeypatch, lambda: calls.append(1))
    for backend in ("torch", "pytorch3d"):
        result = cli("-o", f"{backend}.png", "--backend", backend, "--size", 40, "--columns", 2, "--no-captions")
        assert result.exit_code == 0, result.output
        assert bool(calls) == (backend == "pytorch3d")
    ours, theirs = (np.asarray(Image.open(tmp_path / f"{b}.png")).astype(int) for b in ("torch", "pytorch3d"))
    assert ours.std() > 10
    assert np.abs(ours - theirs).mean() < 0.5


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("pytorch3d", "--backend pytorch3d: there is no module pytorch3d"),
        (
            "pytorch3d.renderer.mesh",
            "it does not load beside this torch (undefined symbol: _ZN3c10); build it anew: `pip",
        ),
    ],
)
def test_without_pytorch3d_one_line_says_how_to_get_it(cli, tmp_path, monkeypatch, broken, message):
    write_samples(tmp_path / "samples.h5")
    if broken == "pytorch3d":
        monkeypatch.setitem(sys.modules, "pytorch3d", None)
    else:
        pytorch3d_stand_in.install(monkeypatch)

        def missing(name):
            raise ImportError("undefined symbol: _ZN3c10")

        monkeypatch.delattr(sys.modules[broken], "rasterize_meshes")
        monkeypatch.setattr(sys.modules[broken], "__getattr__", missing, raising=False)
    result = cli("--backend", "pytorch3d")
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())
    assert result.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["samples.h5"]


def test_a_reference_of_another_head_is_refused(cli, tmp_path):
    write_samples(tmp_path / "samples.h5", clips=("s0_clip",))
    head = small_head()
    other = dataclasses.replace(head, faces=head.faces[:-1])
    with write_clips(tmp_path / "o.h5", "thunder.dataset", other, Provenance(seed=0, command="test"), force=True) as w:
        w.add(small_clip("s0_clip"))
    result = cli("--reference", "o.h5")
    assert result.exit_code == 1
    assert "o.h5: holds motion of head small test head" in " ".join(result.output.split())
