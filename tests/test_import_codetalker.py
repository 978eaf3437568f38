"""`thunder import codetalker`: published weights of both stages animate as the released code does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stages.artifacts.files import inputs_of
from stages.heads.head import build_head
from stages.models.animators import load_animator
from stages.models.codetalker import CodeTalker
from tests.builders import small_dataset, small_head, small_waveform
from tests.models.naive_codetalker import NaiveCodeTalker
from tests.pretrained_folder import write_pretrained_folder
from tests.test_import import refused, run

pytest.importorskip("transformers")

IMPORT = ("import", "codetalker", "stage2.pth.tar", "--speech-encoder", "wav2vec2")
BOTH = (*IMPORT, "--autoencoder", "stage1.pth.tar")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    head = small_head()
    surface = replace(head, kind="displacement", features=("pc000",), arrays={"basis": head.arrays["basis"][:1]})
    small_dataset(tmp_path / "dataset.h5", head=surface)
    write_pretrained_folder(tmp_path / "wav2vec2", "wav2vec2", num_hidden_layers=2)
    return tmp_path


def published(reading: str = "vocaset", *, apart: bool = True, num_subjects: int = 8) -> NaiveCodeTalker:
    """Writes stage1.pth.tar and stage2.pth.tar as the released code would, or one file with both."""
    model = NaiveCodeTalker(Path("wav2vec2"), reading, len(small_head().template), num_subjects=num_subjects)
    weights = model.state_dict()
    inside = {name: value for name, value in weights.items() if name.startswith("autoencoder.")}
    if apart:
        torch.save(
            {"state_dict": {name.removeprefix("autoencoder."): v for name, v in inside.items()}}, "stage1.pth.tar"
        )
        weights = {name: value for name, value in weights.items() if name not in inside}
    torch.save({"state_dict": weights}, "stage2.pth.tar")
    return model


@pytest.mark.parametrize(
    ("reading", "apart", "fps", "num_subjects", "num_features", "first"),
    [("vocaset", True, 30, 8, 25, "FaceTalk_170728_03272_TA"), ("biwi", False, 25, 6, 24, "F2")],
)
def test_the_released_codes_animation_to_a_ten_thousandth(
    reading: str, apart: bool, fps: int, num_subjects: int, num_features: int, first: str
) -> None:
    naive = published(reading, apart=apart, num_subjects=num_subjects)
    code, stdout, stderr = run(*(BOTH if apart else IMPORT), "--json")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert (told["vertices"], told["features"], told["fps"]) == (64, num_features, fps)
    assert told["subjects"].split(", ")[0] == first
    assert ("autoencoder" in inputs_of(Path("animator.h5"), "thunder.animator")) == apart
    samples = torch.from_numpy(small_waveform(22_123))
    model, record = load_animator(Path("animator.h5"), speech_encoder=Path("wav2vec2"))
    assert isinstance(model, CodeTalker)
    head = build_head(record)
    expected = naive.displacements(samples, num_subjects - 1)
    num_frames = len(expected)
    assert num_frames > fps  # beyond the first period
    motion = model.animate(samples, num_frames + 2, num_subjects)
    made = head.vertices(motion) - torch.from_numpy(record.template)
    assert float(expected.std(0).mean()) > 0.01  # it moves by a hundred times what may differ
    torch.testing.assert_close(made[:num_frames], expected, atol=1e-4, rtol=0)
    assert torch.equal(motion[-1], motion[num_frames - 1])  # the last frame stays
    # The encoder, which animating does not need, reads the same motion the same way.
    displacements = head.vertices(motion[:20]) - torch.from_numpy(record.template)
    with torch.no_grad():
        read = naive.autoencoder.encode(displacements.flatten(1))
        torch.testing.assert_close(model.autoencoder.encode(motion[None, :20])[0], read, atol=1e-4, rtol=1e-4)


def test_what_does_not_fit_is_named() -> None:
    model = published()
    weights = model.state_dict()

    def save(**changes: torch.Tensor | None) -> None:
        changed = weights | {name.replace("__", "."): value for name, value in changes.items()}
        torch.save({name: value for name, value in changed.items() if value is not None}, "stage2.pth.tar")

    refused(
        *IMPORT, says="stage2.pth.tar: holds the second stage alone, without its autoencoder; give the first stage's"
    )
    save()
    refused(*BOTH, says="holds an autoencoder already; leave out --autoencoder")
    save(feat_map__weight=None)
    refused(*IMPORT, says="not a CodeTalker checkpoint with this wav2vec 2.0 folder: lacks feat_map.weight (1 missing")
    save(autoencoder__quantize__embedding__weight=None)
    refused(*IMPORT, says="lacks autoencoder.quantize.embedding.weight (1 missing")
    save(obj_vector__weight=torch.zeros(16, 8))
    refused(*IMPORT, says="has obj_vector.weight besides (0 missing, 1 unknown")
    save(autoencoder__decoder__vertice_map_reverse__bias=torch.zeros(5))
    refused(*IMPORT, says="autoencoder.decoder.vertice_map_reverse.bias wanted shape (192,), found (5,)")
    save(autoencoder__quantize__embedding__weight=torch.zeros(12, 7))
    refused(*IMPORT, says="feat_map.weight wanted shape (21, 16), found (24, 16)")
    save(vertice_map__weight=torch.zeros(16, 15_069))
    refused(*IMPORT, says="animates 5023 vertices, head small test head has 64")
    torch.save({"state_dict": "not tensors"}, "stage2.pth.tar")
    refused(*IMPORT, says="wanted named tensors and nothing else")
    published()
    Path("stage1.pth.tar").write_bytes(b"PK but no more")
    refused(*BOTH, says="stage1.pth.tar: is no PyTorch checkpoint (14 bytes)")
    assert not Path("animator.h5").exists()
    assert (
        run("import", "faceformer", "stage2.pth.tar", "--speech-encoder", "wav2vec2", "--autoencoder", "x.pth")[0] == 2
    )
