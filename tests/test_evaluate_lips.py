"""`thunder evaluate --metrics cer,ver`: what is read in lips, by whom, and of which clips."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch

from stages.artifacts.clips import Clip, open_clips, write_clips
from stages.artifacts.files import inputs_of
from stages.artifacts.head_record import HeadRecord
from stages.artifacts.metrics_file import read_metrics
from stages.corpora.synthesis.pronunciation import pronounce
from stages.heads.head import build_head
from stages.metrics.lip_readability import BEAM
from stages.metrics.visemes import viseme_of
from stages.models.lip_reader import load_lip_reader, read_lips
from stages.rendering.mouth_crops import film_mouth, mouth_scene
from stages.runtime import assets
from stages.runtime.provenance import Provenance, sha256_of_file
from tests import shell
from tests.builders import small_dataset, small_head
from tests.lip_judges import Streams, babbling_lip_reader
from tests.pages.reading import read_page

TEXTS = {"s0_clip": "Hello, hello!", "s1_clip": "ale", "s2_clip": "He. All a-hole"}


def write(
    path: str, schema: str, clips: Sequence[Clip], head: HeadRecord, inputs: dict[str, str] | None = None
) -> None:
    with write_clips(Path(path), schema, head, Provenance(seed=0, inputs=inputs or {}), force=True) as writer:
        for clip in clips:
            writer.add(clip)


def rewrite(change: Callable[[Clip], Clip], head: HeadRecord | None = None, **inputs: str) -> None:
    """Changes every clip of samples.h5, and what it remembers of its inputs."""
    with open_clips(Path("samples.h5")) as file:
        clips, record = [change(file.read(clip_id)) for clip_id in file], head or file.head
    write("samples.h5", "thunder.samples", clips, record, inputs)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with dataset.h5, samples.h5 (two takes of three clips) and reader.h5; none is shipped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(assets, "_FOLDERS", (tmp_path / "shipped",))
    small_dataset(Path("dataset.h5"), splits=("train",) * 3)
    rng = np.random.default_rng(0)
    takes = []
    with open_clips(Path("dataset.h5")) as dataset:
        for clip_id in dataset:
            clip = dataset.read(clip_id)
            motion = (clip.motion + 0.2 * rng.normal(size=(2, *clip.motion.shape))).astype("f4")
            takes.append(replace(clip, motion=motion, seed=np.arange(2), transcript=TEXTS[clip_id]))
    write("samples.h5", "thunder.samples", takes, small_head())
    babbling_lip_reader(Path("reader.h5"))
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    return shell.run("evaluate", *arguments, "--force", "--device", "cpu")


READ = ("--lipreader", "reader.h5", "--metrics", "cer,ver")
LIPS = ("cer", "cer-truth", "ver", "ver-truth")


def edits(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein's distance, cell by cell."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def test_figures_are_those_of_what_is_read_in_all_clips_together() -> None:
    code, _, err = run(*READ)
    assert code == 0, err
    model, head = load_lip_reader(Path("reader.h5")), build_head(small_head())
    scene = mouth_scene(head.record)
    truths: dict[str, list[str]] = {"": [], "-truth": []}
    reads: dict[str, list[str]] = {"": [], "-truth": []}
    normal = {"s0_clip": "hello hello", "s1_clip": "ale", "s2_clip": "he all a hole"}
    with open_clips(Path("samples.h5")) as samples, open_clips(Path("dataset.h5")) as dataset:
        for clip_id in samples:
            for of, motions in (("", samples.read(clip_id).motion), ("-truth", dataset.read(clip_id).motion[None])):
                for motion in motions:
                    film = film_mouth(scene, head, torch.from_numpy(motion), torch.from_numpy(head.record.template))
                    reads[of].append(read_lips(model, film.float() / 255, beam=BEAM))
                    truths[of].append(normal[clip_id])
    assert len(set(reads[""])) > 2
    assert all(reads[""])
    rows = {row.name: row for row in read_metrics(Path("metrics.h5"))}
    assert rows.keys() == {"cer", "cer-truth", "ver", "ver-truth"}

    def visemes(text: str) -> list[str]:
        return [str(viseme_of(phone)) for phone in pronounce([text], "en")[0]]

    for of in ("", "-truth"):
        pairs = list(zip(truths[of], reads[of], strict=True))
        assert rows[f"cer{of}"].value == pytest.approx(jiwer.cer(truths[of], reads[of]))
        assert rows[f"cer{of}"].value == pytest.approx(sum(edits(*p) for p in pairs) / sum(len(t) for t, _ in pairs))
        spelt = [(visemes(truth), visemes(read)) for truth, read in pairs]
        assert rows[f"ver{of}"].value == pytest.approx(sum(edits(*p) for p in spelt) / sum(len(t) for t, _ in spelt))
    weights = rows["cer"].weights
    assert weights is not None
    np.testing.assert_array_equal(weights, [11, 3, 13])
    assert (rows["cer"].unit, rows["cer"].formula) == ("1", "metrics.lip_readability.lip_character_error_rate")


def test_nothing_is_heard() -> None:
    run(*READ)
    before = [row.value for row in read_metrics(Path("metrics.h5"))]
    rewrite(
        lambda clip: replace(
            clip, waveform=np.random.default_rng(1).integers(-9000, 9000, len(clip.waveform)).astype("i2")
        )
    )
    run(*READ)
    assert [row.value for row in read_metrics(Path("metrics.h5"))] == before


def test_a_reader_of_pictures_alone_will_do_and_one_of_sound_alone_will_not() -> None:
    codes: dict[Streams, int] = {"picture": 0, "sound": 1}
    for streams, code in codes.items():
        babbling_lip_reader(Path("alone.h5"), streams=streams)
        found, _, err = run("--lipreader", "alone.h5", "--metrics", "cer")
        assert found == code, err
    assert "alone.h5: reads sound alone, no lips" in err


def test_lve_and_cer_with_the_shipped_reader_and_no_other_word() -> None:
    Path("shipped").mkdir()
    shutil.copy("reader.h5", "shipped/lipreader.h5")
    code, out, err = run("--metrics", "lve,cer")
    assert code == 0, err
    assert {row.name for row in read_metrics(Path("metrics.h5"))} == {"lve", "lve-l2", "cer", "cer-truth"}
    assert "lips read by" in out
    code, out, _ = run("--json", "--metrics", "cer")
    assert json.loads(out)["lipreader"].endswith("shipped/lipreader.h5")


def test_a_reader_that_had_a_part_in_the_samples_is_refused() -> None:
    guide = sha256_of_file(Path("reader.h5"))
    rewrite(lambda clip: clip, supervised_by_lipreader=guide)
    code, _, err = run(*READ)
    assert code == 1
    assert "reader.h5: supervised the model that made samples.h5, so that it flatters it" in err
    assert "thunder train-lipreader --seed 100" in err
    babbling_lip_reader(Path("tuned.h5"), seed=1, inputs={"lipreader": guide})
    assert "tuned.h5: supervised" in run("--lipreader", "tuned.h5", "--metrics", "cer")[2]
    assert run(*READ, "--same-judge")[0] == 0
    # The first that may: the one in the folder guided, the shipped one did not.
    Path("shipped").mkdir()
    shutil.copy("reader.h5", "lipreader.h5")
    babbling_lip_reader(Path("shipped/lipreader.h5"), seed=2)
    assert run("--metrics", "cer")[0] == 0
    assert inputs_of(Path("metrics.h5"), "thunder.metrics")["lipreader"] == sha256_of_file(Path("shipped/lipreader.h5"))


def test_clips_that_cannot_be_compared_are_named_and_left_out() -> None:
    babbling_lip_reader(Path("short.h5"), max_frames=29)
    code, _, err = run("--lipreader", "short.h5", "--metrics", "cer")
    assert code == 1
    assert "clip s0_clip: longer than the 1.16 s that the lip reader was built for" in err
    rewrite(lambda clip: replace(clip, transcript={"s0_clip": "", "s1_clip": "42 zoo"}.get(clip.id, clip.transcript)))
    code, out, err = run(*READ)
    assert code == 0, out
    assert "lips not read on 1 clips: no transcript: s0_clip" in err
    assert "lips not read on 1 clips: the lip reader cannot write 'z': s1_clip" in err
    assert all(row.clip_ids == ("s2_clip",) for row in read_metrics(Path("metrics.h5")))
    rewrite(lambda clip: replace(clip, transcript="zoo"))
    code, _, err = run(*READ)
    assert code == 1
    assert (
        "reader.h5: cannot be compared with any transcript of samples.h5: clip s0_clip: the lip reader cannot write 'z'"
        in err
    )
    rewrite(lambda clip: replace(clip, transcript=""))
    code, _, err = run(*READ)
    assert code == 1
    assert "samples.h5: no clip has a transcript to compare with" in err
    # What was not asked for is no obstacle.
    shutil.copy("reader.h5", "lipreader.h5")
    code, _, err = run()
    assert code == 0
    assert "not computed: cer, cer-truth, ver, ver-truth: samples.h5: no clip has a transcript" in err


def out_of_sight(motion: np.ndarray) -> np.ndarray:
    """The motion, whose lips leave the picture at frame 10."""
    away = motion.copy()
    away[..., 10:, small_head().features.index("jawOpen")] = 1e4
    away[..., 10:, small_head().features.index("mouthLeft")] = -1e4
    return away


def hide_a_take(clip: Clip) -> Clip:
    """The second take of one clip shows no mouth."""
    motion = np.stack([clip.motion[0], out_of_sight(clip.motion[1])])
    return replace(clip, motion=motion) if clip.id == "s1_clip" else clip


def figures_of(name: str) -> dict[str, float]:
    """One metric in metrics.h5, clip by clip."""
    row = next(row for row in read_metrics(Path("metrics.h5")) if row.name == name)
    return dict(zip(row.clip_ids, row.per_clip.tolist(), strict=True))


def test_a_mouth_out_of_sight_fails_the_command_that_asks_for_lips_and_says_where() -> None:
    rewrite(hide_a_take)
    code, _, err = run(*READ)
    assert code == 1
    assert "clip s1_clip: take 1: shows no mouth at 0.40 s: its vertices are far off" in err
    assert err.endswith("and make the motion again, or leave cer and ver out of --metrics")
    assert not Path("metrics.h5").exists()


@pytest.mark.parametrize("given", [(), ("--lipreader", "reader.h5")])
def test_a_mouth_out_of_sight_that_nobody_asked_to_read_is_named_and_left_out(given: tuple[str, ...]) -> None:
    Path("shipped").mkdir()
    shutil.copy("reader.h5", "shipped/lipreader.h5")
    assert run()[0] == 0
    seen = {name: figures_of(name) for name in LIPS}
    rewrite(hide_a_take)
    code, _, err = run(*given)
    assert code == 0, err
    assert "lips not read on 1 clips: a frame shows no mouth; look at it with `thunder render`: s1_clip" in err
    assert "not computed: cer" not in err
    for name in LIPS:
        assert figures_of(name) == {clip_id: seen[name][clip_id] for clip_id in ("s0_clip", "s2_clip")}
    assert set(figures_of("lve")) == {"s0_clip", "s1_clip", "s2_clip"}
    code, out, _ = run(*given, "--json", "--report", "report.html")
    assert (
        "lips not read: a frame shows no mouth; look at it with `thunder render`: s1_clip"
        in read_page(Path("report.html")).text
    )
    assert json.loads(out)["unread"] == {"a frame shows no mouth; look at it with `thunder render`": ["s1_clip"]}
    # Whose lips are not seen, the truth's or a take's, is all the same.
    rewrite(lambda clip: replace(clip, motion=clip.motion[:1], seed=np.arange(1)))
    with open_clips(Path("dataset.h5")) as file:
        truths = [file.read(clip_id) for clip_id in file]
    write(
        "dataset.h5",
        "thunder.dataset",
        [replace(truths[0], motion=out_of_sight(truths[0].motion)), *truths[1:]],
        small_head(),
    )
    code, _, err = run(*given)
    assert code == 0, err
    assert "`thunder render`: s0_clip" in err
    assert all(set(figures_of(name)) == {"s1_clip", "s2_clip"} for name in LIPS)


def test_of_several_files_each_leaves_out_its_own_lips_and_differences_are_of_what_both_show() -> None:
    shutil.copy("samples.h5", "plain.h5")
    shutil.copy("reader.h5", "lipreader.h5")
    rewrite(hide_a_take)
    code, out, err = run("plain.h5", "samples.h5", "--json")
    assert code == 0, err
    assert "samples.h5: lips not read on 1 clips: a frame shows no mouth" in err
    assert "plain.h5: lips not read" not in err
    plain, hidden = json.loads(out)["files"]
    assert (plain["unread"], list(hidden["unread"].values())) == ({}, [["s1_clip"]])
    assert plain["metrics"]["cer"]["num_clips"] == 3
    assert set(hidden["differences"]["cer"]["per_clip"]) == {"s0_clip", "s2_clip"}
    assert hidden["differences"]["cer"]["value"] == 0


def test_where_no_clip_shows_its_mouth_the_rest_is_measured() -> None:
    shutil.copy("reader.h5", "lipreader.h5")
    rewrite(lambda clip: replace(clip, motion=out_of_sight(clip.motion)))
    code, _, err = run()
    assert code == 0, err
    assert "lips not read on 3 clips: a frame shows no mouth" in err
    assert "not computed: cer, cer-truth, ver, ver-truth: of each clip a frame shows no mouth; look at it with" in err
    assert {row.name for row in read_metrics(Path("metrics.h5"))} >= {"lve", "jitter"}


def test_heads_without_lips_are_refused() -> None:
    regions = {name: indices for name, indices in small_head().regions.items() if name != "lips"}
    rewrite(lambda clip: clip, replace(small_head(), regions=regions))
    code, _, err = run(*READ)
    assert code == 1
    assert "lips" in err
    assert run("--lipreader", "dataset.h5", "--metrics", "cer")[2].startswith(
        "error: dataset.h5: wanted thunder.lipreader"
    )
