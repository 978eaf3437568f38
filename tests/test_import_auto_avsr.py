"""`thunder import auto-avsr`: a published checkpoint becomes a lip reader; what it refuses."""

import json
from pathlib import Path

import pytest
import torch

from stages.artifacts.files import open_hdf5, read_json_attribute
from stages.models.lip_reader import labels_of, load_lip_reader
from tests import shell
from tests.models.naive_auto_avsr import random_checkpoint, read_clip

sentencepiece = pytest.importorskip("sentencepiece")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A vocabulary of nine pieces, and weights that write them."""
    monkeypatch.chdir(tmp_path)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["A CAB BACK", "CAB A BACK"] * 5), model_prefix="v", vocab_size=9, minloglevel=2
    )
    cutter = sentencepiece.SentencePieceProcessor(model_file="v.model")
    pieces = ["<unk>", *(cutter.id_to_piece(k) for k in range(3, len(cutter)))]
    Path("v_units.txt").write_text("".join(f"{p} {k + 1}\n" for k, p in enumerate(pieces)), encoding="utf-8")
    torch.manual_seed(2)
    torch.save(random_checkpoint("both", labels=len(pieces) + 2), "avsr.pth")
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr of `thunder import`, line breaks of the terminal taken out."""
    return shell.run("import", *arguments)


def test_a_checkpoint_becomes_a_reader() -> None:
    code, stdout, stderr = run("auto-avsr", "avsr.pth", "--vocabulary", "v.model", "--json")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert (told["wrote"], told["reads"]) == ("lipreader.h5", "both")
    model = load_lip_reader(Path("lipreader.h5"))
    crops, sound = torch.rand(5, 96, 96), model.sound_of(torch.empty(0, 80), torch.randn(3200), 5)
    text = labels_of(model, "A cab", "clip x")
    expected, _ = read_clip(torch.load("avsr.pth", weights_only=True), crops[:, 4:92, 4:92], sound, text)
    found = model(crops[None], sound[None], torch.ones(1, 5, dtype=torch.bool)).log_probs[0]
    torch.testing.assert_close(found, expected.log_softmax(-1), atol=1e-4, rtol=0)
    with open_hdf5(Path("lipreader.h5")) as file:
        assert set(read_json_attribute(file, "inputs")) == {"weights", "vocabulary", "units"}
    code, _, stderr = run("auto-avsr", "avsr.pth", "--vocabulary", "v.model")
    assert (code, "lipreader.h5" in stderr) == (1, True)


def test_what_it_refuses() -> None:
    code, _, stderr = run("auto-avsr", "avsr.pth", "--vocabulary", "none.model")
    assert (code, "none.model: no such file, wanted a SentencePiece model" in stderr) == (1, True)
    torch.save({"lm.weight": torch.ones(2)}, "lm.pth")
    code, _, stderr = run("auto-avsr", "lm.pth", "--vocabulary", "v.model")
    assert code == 1
    assert "lm.pth: not an Auto-AVSR checkpoint: lacks ctc.ctc_lo.bias" in stderr
    torch.save({"weight": torch.ones(2), "args": Path("x")}, "pickled.pth")
    code, _, stderr = run("auto-avsr", "pickled.pth", "--vocabulary", "v.model")
    assert code == 1
    assert "holds more than tensors" in stderr
    assert not Path("lipreader.h5").exists()
    assert run("auto-avsr", "avsr.pth")[0] == 2
    assert run("auto-avsr", "avsr.pth", "--vocabulary", "v.model", "--speech-encoder", "w")[0] == 2
    assert run("auto-avsr", "avsr.pth", "--vocabulary", "v.model", "--autoencoder", "a.pth")[0] == 2
    assert run("faceformer", "avsr.pth")[0] == 2
    assert run("faceformer", "avsr.pth", "--speech-encoder", "w", "--vocabulary", "v.model")[0] == 2
