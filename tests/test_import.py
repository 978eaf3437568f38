"""`thunder import faceformer`: published weights animate as the released code does, and what does not fit is named."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.artifacts.clips import open_clips
from stages.artifacts.files import inputs_of
from stages.audio.waveform import write_wav
from stages.heads.head import build_head
from stages.models.animators import load_animator
from stages.runtime.provenance import sha256_of_file
from tests.builders import small_dataset, small_head, small_waveform
from tests.models.naive_faceformer import NaiveFaceFormer
from tests.pretrained_folder import write_pretrained_folder
from tests.shell import run

pytest.importorskip("transformers")

IMPORT = ("import", "faceformer", "published.pth", "--speech-encoder", "wav2vec2")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    head = small_head()
    surface = replace(head, kind="displacement", features=("pc000",), arrays={"basis": head.arrays["basis"][:1]})
    small_dataset(tmp_path / "dataset.h5", head=surface)
    write_pretrained_folder(tmp_path / "wav2vec2", "wav2vec2", num_hidden_layers=2)
    return tmp_path


def published(reading: str = "vocaset", **sizes: int) -> NaiveFaceFormer:
    """Writes published.pth as the released code would."""
    model = NaiveFaceFormer(Path("wav2vec2"), reading, len(small_head().template), **sizes)
    torch.save(model.state_dict(), "published.pth")
    return model


def refused(*arguments: str, says: str) -> None:
    code, _, stderr = run(*arguments)
    assert code == 1
    assert says in stderr, stderr


@pytest.mark.parametrize(
    ("reading", "fps", "num_subjects", "first"),
    [("vocaset", 30, 8, "FaceTalk_170728_03272_TA"), ("biwi", 25, 6, "F2"), ("vocaset", 30, 3, "speaker1")],
)
def test_the_released_codes_animation_to_a_ten_thousandth(
    reading: str, fps: int, num_subjects: int, first: str
) -> None:
    naive = published(reading, num_subjects=num_subjects)
    code, stdout, stderr = run(*IMPORT, "--json")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert (told["vertices"], told["features"], told["fps"]) == (64, 17, fps)
    assert told["subjects"].split(", ")[0] == first
    assert inputs_of(Path("animator.h5"), "thunder.animator")["weights"] == sha256_of_file(Path("published.pth"))
    samples = torch.from_numpy(small_waveform(40_123))
    model, record = load_animator(Path("animator.h5"), speech_encoder=Path("wav2vec2"))
    for subject in (0, num_subjects - 1):
        expected = naive.displacements(samples, subject)
        num_frames = len(expected)
        assert num_frames > fps  # beyond the first period
        motion = model.animate(samples, num_frames + 2, subject + 1)
        made = build_head(record).vertices(motion) - torch.from_numpy(record.template)
        assert float(expected.abs().mean()) > 0.05  # thousands of times what may differ
        torch.testing.assert_close(made[:num_frames], expected, atol=1e-4, rtol=0)
        assert torch.equal(motion[-1], motion[num_frames - 1])  # the last frame stays


def test_samples_of_an_imported_model() -> None:
    naive = published()
    assert run(*IMPORT)[0] == 0
    waveform = small_waveform(20_000)
    write_wav(Path("speech.wav"), waveform)
    common = ("sample", "speech.wav", "--model", "animator.h5", "--device", "cpu", "--quiet", "--force")
    refused(*common, says="animator.h5: hears speech by layer 2 of a wav2vec2 folder")
    name = "FaceTalk_170904_00128_TA"
    code, _, stderr = run(*common, "--speech-encoder", "wav2vec2", "--subject", name)
    assert code == 0, stderr
    with open_clips(Path("samples.h5")) as file:
        clip, head = file.read("speech"), build_head(file.head)
    assert clip.motion.shape == (1, 38, 17)
    expected = naive.displacements(torch.from_numpy(waveform), 1).numpy()
    made = head.vertices(torch.from_numpy(clip.motion[0])).numpy() - file.head.template
    np.testing.assert_allclose(made[: len(expected)], expected, atol=1e-4)


def test_what_does_not_fit_is_named() -> None:
    model = published()
    weights = model.state_dict()

    def save(**changes: torch.Tensor | None) -> None:
        changed = weights | {name.replace("__", "."): value for name, value in changes.items()}
        torch.save({name: value for name, value in changed.items() if value is not None}, "published.pth")

    save(obj_vector__weight=None)
    refused(*IMPORT, says="lacks obj_vector.weight (1 missing, 0 unknown")
    save(feat_map__weight=torch.zeros(2, 2))
    refused(*IMPORT, says="has feat_map.weight besides (0 missing, 1 unknown")
    save(vertice_map_r__bias=torch.zeros(5))
    refused(*IMPORT, says="vertice_map_r.bias wanted shape (192,), found (5,)")
    save(PPE__pe=weights["PPE.pe"].roll(1, 1))
    refused(*IMPORT, says="no table of period 30 (VOCASET) or 25 (BIWI)")
    save(vertice_map__weight=torch.zeros(16, 15_069))
    refused(*IMPORT, says="animates 5023 vertices, head small test head has 64")
    torch.save({"model": "not a tensor"}, "published.pth")
    refused(*IMPORT, says="wanted named tensors and nothing else")
    whole = Path("published.pth").read_bytes()
    Path("published.pth").write_bytes(whole[: len(whole) // 2])
    refused(*IMPORT, says=f"published.pth: truncated ({len(whole) // 2} bytes); download it again")
    published()
    write_pretrained_folder(Path("deeper"), "wav2vec2")
    refused(*IMPORT[:3], "--speech-encoder", "deeper", says="lacks audio_encoder.encoder.layers.2.")
    write_pretrained_folder(Path("hubert"), "hubert")
    refused(*IMPORT[:3], "--speech-encoder", "hubert", says="hear by wav2vec 2.0, found hubert")
    assert not Path("animator.h5").exists()


def test_code_in_a_file_is_not_run() -> None:
    class Harm:
        def __reduce__(self) -> tuple:
            return Path.touch, (Path("harmed"),)

    for zipped in (True, False):
        torch.save({"obj_vector.weight": Harm()}, "published.pth", _use_new_zipfile_serialization=zipped)
        refused(*IMPORT, says="or holds more than tensors, which is not loaded")
        assert not Path("harmed").exists()


def test_what_is_no_checkpoint_is_said_to_be_none() -> None:
    write_wav(Path("speech.wav"), small_waveform(1600))
    Path("notes.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    Path("empty.pth").touch()
    for name in ("speech.wav", "notes.pth", "empty.pth"):
        size = Path(name).stat().st_size
        says = f"{name}: is no PyTorch checkpoint ({size} bytes); wanted published weights (.pth)"
        refused("import", "faceformer", name, *IMPORT[3:], says=says)
    with zipfile.ZipFile("weights.zip", "w") as archive:
        archive.write("notes.pth")
    refused("import", "faceformer", "weights.zip", *IMPORT[3:], says="weights.zip: is a zip archive, but no PyTorch")


def test_names_of_older_files_are_understood() -> None:
    model = published()
    old = {
        name.replace(".parametrizations.weight.original0", ".weight_g").replace(
            ".parametrizations.weight.original1", ".weight_v"
        ): value
        for name, value in model.state_dict().items()
    }
    assert any(name.endswith("weight_g") for name in old)
    torch.save(old | {"audio_encoder.masked_spec_embed": torch.zeros(24)}, "published.pth")
    assert run(*IMPORT)[0] == 0
