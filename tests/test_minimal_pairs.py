"""`thunder minimal-pairs`: which words are found where, the picture, and what is refused."""

import json
from pathlib import Path
from typing import Literal

import pytest
import torch

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import write_clips
from stages.metrics.word_pairs import on_a_plane, told_apart
from stages.models.lip_reader import LipReader, LipReaderConfig, checkpoint_of
from stages.runtime import assets
from stages.runtime.provenance import Provenance
from tests import shell
from tests.builders import small_clip, small_head


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = ("Put it", "but it", "it, put!", "but put", "", "zzz")
    with write_clips(Path("dataset.h5"), "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        for k, text in enumerate(texts):
            writer.add(small_clip(f"c{k}", num_frames=30, seed=k, transcript=text, split="val" if k < 2 else "test"))
    torch.manual_seed(0)
    write_reader("both", "lipreader.h5")


def write_reader(streams: Literal["both", "picture"], path: str) -> None:
    config = LipReaderConfig(
        characters=" biptu", form="light", channels=2, dim=8, num_layers=1, num_heads=2, kernel=3, decoder_layers=1,
        fusion_dim=8, dropout=0.0, streams=streams,
    )  # fmt: skip
    model = LipReader(config)
    checkpoint = checkpoint_of(model, dict(model.named_parameters()), {})
    write_checkpoint(Path(path), "thunder.lipreader", checkpoint, Provenance(seed=0), force=True)


def run(*arguments: str) -> tuple[int, str, str]:
    return shell.run("minimal-pairs", *arguments)


def test_words_are_found_and_drawn() -> None:
    pytest.importorskip("matplotlib")
    code, stdout, stderr = run("--pair", "put,but", "--pair", "Put,it", "--device", "cpu", "--json")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert [(pair["words"], pair["counts"]) for pair in told["pairs"]] == [
        (["put", "but"], [3, 2]),
        (["put", "it"], [3, 3]),
    ]
    assert all(0 <= share <= 1 for pair in told["pairs"] for share in pair["told_apart"].values())
    assert Path("minimal_pairs.png").read_bytes()[1:4] == b"PNG"
    code, stdout, _ = run("--pair", "put,but", "--device", "cpu", "--force")
    assert code == 0
    assert "told apart, lips alone" in stdout


def test_the_embedded_reader_reads_where_none_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(assets, "_FOLDERS", (Path("shipped"),))
    Path("shipped").mkdir()
    Path("lipreader.h5").rename("shipped/lipreader.h5")
    code, _, stderr = run("--pair", "put,but", "--device", "cpu")
    assert code == 0, stderr
    assert "no lipreader.h5 here: the embedded model, lipreader.h5, reads" in stderr
    Path("shipped/lipreader.h5").unlink()
    code, _, stderr = run("--pair", "put,but", "--device", "cpu", "--force")
    assert code == 1
    assert stderr == ("error: needs a lip reader; give --lipreader lipreader.h5, made with `thunder train-lipreader`")


def test_what_is_refused() -> None:
    pytest.importorskip("matplotlib")
    for arguments, says in (
        (
            ("--pair", "put,just"),
            "dataset.h5: 'just' can be read less than twice in split val and test; name other words",
        ),
        (("--pair", "put,but", "--split", "val"), "'but', 'put' can be read less than twice in split val"),
        (("--pair", "zzz,put"), "'zzz' can be read less than twice"),
        (("--pair", "put,but", "-o", "dataset.h5"), "is an input of this command too"),
    ):
        code, _, stderr = run(*arguments, "--device", "cpu")
        assert code == 1
        assert says in stderr, stderr
    write_reader("picture", "deaf.h5")
    code, _, stderr = run("--pair", "put,but", "--lipreader", "deaf.h5", "--device", "cpu")
    assert code == 1
    assert "deaf.h5: reads picture alone; wanted a lip reader of both, which hears when each word is said" in stderr
    assert run("--pair", "put")[0] == 2
    assert run()[0] == 2


def test_told_apart_by_hand() -> None:
    first, second = torch.tensor([[0.0, 0], [1, 0], [9, 0]]), torch.tensor([[9.0, 0], [11, 0]])
    # 0 and 1 are nearer to the mean of their others (5, 4.5) than to 10; 9 is not (.5, against 10). 9 is nearer to 11 than
    # to 10 / 3; so is 11 to 9.
    assert told_apart(first, second) == pytest.approx((2 / 3 + 1) / 2)
    assert told_apart(first, first.clone()) < 0.5
    one, other = on_a_plane(first, second)
    assert one.shape == (3, 2)
    torch.testing.assert_close(one[:, 0].abs(), (first[:, 0] - 6).abs())
    torch.testing.assert_close(torch.cdist(one, other), torch.cdist(first, second))
