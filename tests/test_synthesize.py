"""`thunder synthesize`: what it leaves on disk, the same whatever the number of processes, and how it refuses."""

import hashlib
import json
import shutil
import wave
from itertools import pairwise

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from stages.corpora.layout import open_corpus
from stages.formats.live_link_face import read_live_link_face
from stages.runtime.errors import ThunderError
from stages.synthesize import synthesize
from thunder_cli.commands.synthesize import synthesize as command
from thunder_cli.console import ThunderGroup


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthesize") / "corpus"
    made = synthesize(folder, num_clips=7, num_subjects=3, seed=1)
    assert (made.num_clips, made.num_subjects) == (7, 3)
    return folder


def test_a_corpus_is_a_folder_of_recordings(corpus):
    assert sorted(p.name for p in corpus.iterdir()) == ["s000", "s001", "s002", "synthesis.json"]
    stems = sorted(p.with_suffix("") for p in corpus.glob("*/*.wav"))
    assert [p.relative_to(corpus).as_posix() for p in stems[:3]] == ["s000/0000", "s000/0001", "s000/0002"]
    assert len(stems) == 7
    for stem in stems:
        with wave.open(str(stem) + ".wav") as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
            waveform = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        motion, fps = read_live_link_face(stem.with_suffix(".csv"))
        assert fps == 25
        assert len(motion) / fps == pytest.approx(len(waveform) / 16000, abs=1e-6)
        assert np.abs(waveform).max() > 1000
        assert motion.std(axis=0).max() > 0.05
        phones = json.loads((stem.parent / f"{stem.name}.phones.json").read_text())
        assert phones[0]["start_s"] == 0
        assert phones[-1]["end_s"] == pytest.approx(len(waveform) / 16000, abs=1e-3)
        assert all(a["end_s"] == b["start_s"] for a, b in pairwise(phones))
        facts = json.loads(stem.with_suffix(".json").read_text())
        assert set(facts) == {"emotion", "intensity", "language"}
        assert (facts["emotion"] == "neutral") == (facts["intensity"] == 0)
        assert stem.with_suffix(".txt").read_text().strip()


def test_one_seed_one_corpus_whatever_the_number_of_processes(corpus, tmp_path):
    synthesize(tmp_path / "again", num_clips=7, num_subjects=3, seed=1, jobs=2)
    assert hashes(corpus) == hashes(tmp_path / "again")
    synthesize(tmp_path / "other", num_clips=7, num_subjects=3, seed=2)
    assert hashes(corpus).keys() == hashes(tmp_path / "other").keys()
    shared = [name for name, digest in hashes(tmp_path / "other").items() if hashes(corpus)[name] == digest]
    assert not [name for name in shared if name.endswith((".wav", ".csv", ".txt"))]


def test_the_recipe_names_engines_versions_and_speakers(tmp_path):
    synthesize(tmp_path / "corpus", num_clips=4, num_subjects=4, seed=1, languages=("en", "de"))
    recipe = json.loads((tmp_path / "corpus" / "synthesis.json").read_text())
    assert recipe["engines"].keys() == {"espeak"}
    assert recipe["engines"]["espeak"][0].isdigit()
    assert recipe["languages"] == ["en", "de"]
    assert [recipe["speakers"][f"s{k:03d}"]["language"][:2] for k in range(4)] == ["en", "de", "en", "de"]
    spoken = [json.loads((tmp_path / "corpus" / f"s{k:03d}" / "0000.json").read_text())["language"] for k in range(4)]
    assert spoken == [recipe["speakers"][f"s{k:03d}"]["language"] for k in range(4)]
    # Adding a language leaves the others' sentences as they were.
    synthesize(tmp_path / "english", num_clips=1, num_subjects=1, seed=1)
    first = [tmp_path / name / "s000" / "0000.txt" for name in ("corpus", "english")]
    assert first[0].read_text() == first[1].read_text()


def test_an_unknown_engine_or_language_makes_nothing(tmp_path):
    for options in ({"engines": ("whisper",)}, {"languages": ("tlh",)}):
        with pytest.raises(ThunderError, match="wanted some of espeak, flite, festival and of en, de, es, fr, it"):
            synthesize(tmp_path / "corpus", num_clips=1, **options)
    assert not list(tmp_path.iterdir())


def test_hours_are_shared_among_subjects(tmp_path):
    made = synthesize(tmp_path / "corpus", hours=0.02, num_subjects=4, fps=30)
    assert made.duration_s == pytest.approx(72, rel=0.35)
    assert all(len(list(folder.glob("*.wav"))) >= 2 for folder in (tmp_path / "corpus").glob("s*/"))


def test_an_existing_folder_is_not_touched(tmp_path, corpus):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ThunderError, match="exists already"):
        synthesize(tmp_path / "mine", num_clips=1)
    with pytest.raises(ThunderError, match="not made by"):
        synthesize(tmp_path / "mine", num_clips=1, force=True)
    assert hashes(tmp_path / "mine").keys() == {"thesis.txt"}
    (tmp_path / "file").write_text("")
    with pytest.raises(ThunderError, match="wanted a folder"):
        synthesize(tmp_path / "file", num_clips=1)


def test_force_replaces_a_corpus_and_an_empty_folder_is_free(tmp_path):
    (tmp_path / "corpus").mkdir()
    synthesize(tmp_path / "corpus", num_clips=2, num_subjects=2)
    first = hashes(tmp_path / "corpus")
    synthesize(tmp_path / "corpus", num_clips=1, num_subjects=1, seed=9, force=True)
    assert hashes(tmp_path / "corpus").keys() < first.keys()
    assert [p.name for p in tmp_path.iterdir()] == ["corpus"]


def test_a_failed_run_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stages.corpora.synthesis.corpus_folder.write_wav", full_disk)
    with pytest.raises(ThunderError, match="the disk is full"):
        synthesize(tmp_path / "corpus", num_clips=2, num_subjects=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "synthesize: "),
        ({"hours": 1, "num_clips": 1}, "synthesize: "),
        ({"hours": -1}, "--hours wanted more than 0"),
        ({"num_clips": 0}, "--clips wanted at least 1"),
        ({"num_clips": 1, "fps": 1000}, "synthesize: "),
    ],
)
def test_senseless_options_are_refused(tmp_path, options, told):
    with pytest.raises(ThunderError, match=told):
        synthesize(tmp_path / "corpus", **options)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_corpus_and_says_what(tmp_path):
    app = typer.Typer(cls=ThunderGroup)
    app.command("synthesize")(command)
    app.callback()(lambda: None)
    arguments = ["synthesize", str(tmp_path / "c"), "--clips", "2", "--subjects", "2", "--jobs", "1", "--json"]
    arguments += ["--engine", "espeak", "--languages", "de, es"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["clips"] == 2
    assert len(list((tmp_path / "c").glob("*/*.csv"))) == 2
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert "exists already" in refused.output
    both = CliRunner().invoke(app, [*arguments, "--force", "--hours", "1"])
    assert (both.exit_code, "give one of" in both.output) == (2, True)


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_clips_and_recipe_say_who_is_held_out_and_preprocess_heeds_it(tmp_path):
    synthesize(tmp_path / "all", num_clips=4, num_subjects=4, engines=("flite",), held_out=())
    assert not [p for p in (tmp_path / "all").glob("s*/*.json") if "split" in p.read_text()]
    synthesize(tmp_path / "corpus", num_clips=4, num_subjects=4, engines=("flite",))
    speakers = json.loads((tmp_path / "corpus" / "synthesis.json").read_text())["speakers"]
    said = {name: json.loads((tmp_path / "corpus" / name / "0000.json").read_text())["split"] for name in speakers}
    assert said == {name: speaker["split"] for name, speaker in speakers.items()}
    assert [speaker["voice"] for speaker in speakers.values() if speaker["split"] == "test"] == ["rms"]
    assert {r.subject: r.split for r in open_corpus(tmp_path / "corpus").recordings} == said


def test_everybody_says_every_line(tmp_path):
    text = tmp_path / "lines.txt"
    text.write_text("You just go home.\n\n  You must go home.\n", encoding="utf-8")
    synthesize(tmp_path / "corpus", sentences=text, num_subjects=2, seed=1)
    found = {
        p.relative_to(tmp_path / "corpus").as_posix(): p.read_text().strip() for p in tmp_path.glob("corpus/*/*.txt")
    }
    lines = ("You just go home.", "You must go home.")
    assert found == {f"s00{k}/000{n}.txt": line for k in range(2) for n, line in enumerate(lines)}
    recipe = json.loads((tmp_path / "corpus" / "synthesis.json").read_text())
    assert recipe["sentences"] == list(lines)


@pytest.mark.parametrize(
    ("content", "languages", "says"),
    [
        (b"\n", ("en",), "wanted a sentence a line, found an empty file"),
        (b"One.\n...\n", ("en",), r"found the line '\.\.\.'"),
        (b"\xff\xfe", ("en",), "cannot be read as text in UTF-8"),
        (b"One.\n", ("en", "de"), "wanted the one language that they are in, found en, de"),
    ],
)
def test_lines_that_cannot_be_said(tmp_path, content, languages, says):
    text = tmp_path / "lines.txt"
    text.write_bytes(content)
    with pytest.raises(ThunderError, match=says):
        synthesize(tmp_path / "corpus", sentences=text, num_subjects=2, languages=languages)
    with pytest.raises(ThunderError, match="give either hours, a number of clips or sentences"):
        synthesize(tmp_path / "corpus", sentences=text, num_clips=2)
