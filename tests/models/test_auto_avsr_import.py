"""Auto-AVSR's checkpoints: the same logits as a plain reading of the description, both layouts, and what is refused."""

from pathlib import Path

import pytest
import torch

from stages.artifacts.checkpoint import write_checkpoint
from stages.models.auto_avsr_import import convert_auto_avsr
from stages.models.lip_reader import (
    LipReader,
    LipReaderConfig,
    checkpoint_of,
    labels_of,
    load_lip_reader,
    read_lips,
    write_down,
)
from stages.models.word_pieces import WordPieces, read_word_pieces
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.models.naive_auto_avsr import random_checkpoint, read_clip

UNITS = ("<unk>", "'", "▁A", "▁THE", "CAB", "S", "▁DON", "T", "▁")
PATH = Path("avsr.pth")


@pytest.mark.parametrize("layout", ["both", "picture", "sound", "new picture", "new sound"])
def test_the_same_logits_as_the_description(layout: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    weights = random_checkpoint(layout)
    model = convert_auto_avsr(weights, WordPieces(UNITS, b""), PATH)
    assert model.config.streams == layout.removeprefix("new ")
    assert (model.config.num_labels, model.config.end, model.config.labels_per_frame) == (11, 10, 1)
    crops, sound, text = torch.rand(6, 96, 96), model.sound_of(torch.empty(0, 80), torch.randn(6 * 640), 6), [3, 5, 8]
    by_frame, by_prefix = read_clip(weights, crops[:, 4:92, 4:92], sound, text)
    mask = torch.ones(1, 6, dtype=torch.bool)
    told = (None if "sound" in layout else crops[None], None if "picture" in layout else sound[None])
    with torch.no_grad():
        reading = model(*told, mask)
        after = model.decoder(torch.tensor([[10, *text]]), reading.features, mask)
    torch.testing.assert_close(reading.log_probs[0], by_frame.log_softmax(-1), atol=1e-4, rtol=0)
    torch.testing.assert_close(after[0], by_prefix, atol=1e-4, rtol=0)
    # All of it went into the file, the vocabulary too.
    checkpoint = checkpoint_of(model, dict(model.named_parameters()), {})
    write_checkpoint(tmp_path / "l.h5", "thunder.lipreader", checkpoint, Provenance(seed=0), force=False)
    again = load_lip_reader(tmp_path / "l.h5")
    assert torch.equal(again(*told, mask).log_probs, reading.log_probs)
    assert again.pieces is not None
    assert again.pieces.units == UNITS


def test_another_architecture_is_named_by_its_first_keys() -> None:
    pieces = WordPieces(UNITS, b"")
    weights = random_checkpoint("picture")
    lacking = {k: v for k, v in weights.items() if k not in ("encoder.after_norm.bias", "ctc.ctc_lo.bias")}
    with pytest.raises(
        ThunderError, match=r"avsr.pth: not an Auto-AVSR.*lacks ctc.ctc_lo.bias, encoder.after_norm.bias .2 missing"
    ):
        convert_auto_avsr(lacking, pieces, PATH)
    with pytest.raises(ThunderError, match=r"has lm.weight besides \(0 missing, 1 unknown"):
        convert_auto_avsr(weights | {"lm.weight": torch.ones(1)}, pieces, PATH)
    with pytest.raises(ThunderError, match="not an Auto-AVSR checkpoint: lacks "):
        convert_auto_avsr({"vertice_map.weight": torch.ones(2)}, pieces, PATH)
    wide = weights | {"decoder.decoders.1.feed_forward.w_1.bias": torch.ones(7)}
    with pytest.raises(ThunderError, match=r"decoders.1.feed_forward.w_1.bias wanted shape \(96,\), found \(7,\)"):
        convert_auto_avsr(wide, pieces, PATH)
    broken = weights | {"encoder.after_norm.bias": torch.full((24,), torch.nan)}
    with pytest.raises(ThunderError, match=r"encoder.after_norm.bias has values that are not finite"):
        convert_auto_avsr(broken, pieces, PATH)
    with pytest.raises(ThunderError, match="names 11 labels, the vocabulary has 3 pieces"):
        convert_auto_avsr(weights, WordPieces(UNITS[:3], b""), PATH)


def test_a_reader_of_one_stream_wants_that_stream() -> None:
    model = convert_auto_avsr(random_checkpoint("picture"), WordPieces(UNITS, b""), PATH)
    crops, mask = torch.rand(1, 3, 96, 96), torch.ones(1, 3, dtype=torch.bool)
    with pytest.raises(ThunderError, match="made for picture alone, which is withheld"):
        model(None, torch.zeros(1, 1920), mask)
    assert torch.equal(model(crops, torch.randn(1, 1920), mask).log_probs, model(crops, None, mask).log_probs)
    light = LipReader(
        LipReaderConfig(
            characters="ab", form="light", streams="picture", channels=2, dim=8, num_layers=1, num_heads=2, kernel=3,
            decoder_layers=1,
        )
    ).eval()  # fmt: skip
    assert not [name for name, _ in light.named_parameters() if name.startswith(("ears", "heard", "fusion"))]
    assert isinstance(read_lips(light, crops[0]), str)


def test_pieces_are_written_as_words() -> None:
    pieces = WordPieces(UNITS, b"")
    assert pieces.characters == " abcdehnost"
    assert pieces.decode([4, 5, 6, 3]) == "thecabs a"
    assert pieces.decode([7, 2, 8, 9, 5]) == "don t cab"
    model = convert_auto_avsr(random_checkpoint("picture"), pieces, PATH)
    mask = torch.ones(1, 6, dtype=torch.bool)
    reading = model(torch.rand(1, 6, 96, 96), None, mask)
    spelling = torch.full((1, 6, 11), -9.0)
    for n, label in enumerate([3, 0, 4, 4, 5, 10]):  # the end, 10, belongs to the decoder
        spelling[0, n, label] = -0.1
    assert write_down(model, reading._replace(log_probs=spelling), mask)[0].startswith("a thecab")
    with pytest.raises(ThunderError, match="'xz', which this lip reader cannot write"):
        labels_of(model, "a xzt", "clip x")


def test_text_is_cut_by_the_users_model(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    lines = ["THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG", "DON'T STOP NOW", "A CAB BACK", "HELLO WORLD IT'S ME"] * 9
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(tmp_path / "u"), vocab_size=34, minloglevel=2
    )
    cutter = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "u.model"))
    # As published: control signs are no units, and units are sorted.
    units = ["<unk>", *sorted(cutter.id_to_piece(k) for k in range(3, len(cutter)))]
    listed = tmp_path / "units.txt"
    listed.write_text("".join(f"{unit} {k + 1}\n" for k, unit in enumerate(units)), encoding="utf-8")
    pieces = read_word_pieces(tmp_path / "u.model", listed)
    expected = [units.index(piece) + 1 for piece in cutter.encode("DON'T STOP THE CAB", out_type=str)]
    assert pieces.encode("Don’t stop --  the cab!") == expected
    assert pieces.decode(pieces.encode("Hello, world")) == "hello world"
    again, others = WordPieces.split_off(pieces.arrays() | {"picture_mean": torch.ones(1).numpy()})
    assert again is not None
    assert again.encode("now") == pieces.encode("NOW")
    assert list(others) == ["picture_mean"]

    listed.write_text("<unk> 1\nA 3\n", encoding="utf-8")
    with pytest.raises(ThunderError, match=r"units.txt: line 2 wanted a piece and the number 2, found 'A 3'"):
        read_word_pieces(tmp_path / "u.model", listed)
    listed.write_text("A 1\nB 2\n", encoding="utf-8")
    with pytest.raises(ThunderError, match="wanted every piece once, and <unk> among them"):
        read_word_pieces(tmp_path / "u.model", listed)
    listed.write_text("<unk> 1\n", encoding="utf-8")
    (tmp_path / "u.model").write_bytes(b"nothing of the kind")
    with pytest.raises(ThunderError, match=r"u.model: is no SentencePiece model"):
        read_word_pieces(tmp_path / "u.model", listed)
    with pytest.raises(ThunderError, match=r"none.model: no such file, wanted a SentencePiece model"):
        read_word_pieces(tmp_path / "none.model", listed)
