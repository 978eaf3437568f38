import dataclasses
import re

import numpy as np
import pytest
import torch

from stages.artifacts.clips import write_clips
from stages.heads.head import build_head, embedded_head
from stages.render import render
from stages.rendering import html_page
from stages.rendering.page.packing import pack, pack_rows, pack_shapes
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from tests.builders import small_clip, small_head, small_motion
from tests.heads.test_flame import flame_head, some_motion
from tests.rendering import packed_pages


def written(path, schema, head, clips):
    with write_clips(path, schema, head, Provenance(seed=0, command="test"), force=True) as writer:
        for clip in clips:
            writer.add(clip)
    return path


def takes_of(clip, motions, **attributes):
    return dataclasses.replace(clip, motion=np.stack(motions), seed=np.arange(len(motions)), **attributes)


def page_of(tmp_path, head, clips, truths=None):
    """The page of samples and of their recordings, and what is in it."""
    samples = written(tmp_path / "samples.h5", "thunder.samples", head, clips)
    reference = written(tmp_path / "dataset.h5", "thunder.dataset", head, truths) if truths else None
    result = render(samples, tmp_path / "takes.html", output_format="html", reference_path=reference)
    assert result.failures == []
    return result, packed_pages.blocks(result.files[0])


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
@pytest.mark.parametrize("differences", [False, True])
def test_arrays_come_back_as_they_went_in(kind, differences):
    limits = np.iinfo(kind)
    values = np.random.default_rng(0).integers(limits.min, limits.max, (3, 2, 7), dtype=kind, endpoint=True)
    values[0, 0, :3] = limits.max, limits.min, limits.max  # differences wrap round
    np.testing.assert_array_equal(packed_pages.unpack(pack(values, differences=differences)), values)


def test_rows_err_by_half_a_step_and_constant_rows_not_at_all():
    rows = np.random.default_rng(0).normal(size=(3, 50)) * [[1e-3], [1.0], [0.0]] + 7
    error = np.abs(packed_pages.unpack_rows(pack_rows(rows)) - rows)
    assert (error.max(1) <= 0.51 * np.ptp(rows, axis=1) / 65_535).all()


def test_shapes_are_as_fine_as_their_weights_need():
    shapes = np.random.default_rng(0).normal(size=(3, 20, 3)).astype("f4") * 1e-2
    greatest = np.array([1.0, 0.01, 0.0], "f4")
    back = packed_pages.unpack_shapes(pack_shapes(shapes, greatest, 1e-5))
    error = greatest[:, None, None] * np.abs(back - shapes)
    assert error.max() <= 0.51e-5
    assert len(np.unique(back[1])) < len(np.unique(back[0]))  # what hardly moves is stored coarsely
    assert not back[2].any()  # and what never moves not at all


def test_five_takes_of_ten_seconds_of_the_embedded_head_are_small_and_exact(tmp_path):
    head = embedded_head()
    motions = [small_motion(256, seed=k) for k in range(5)]
    clip = small_clip(head=head, num_frames=256)
    result, page = page_of(tmp_path, head, [takes_of(clip, motions)])
    assert result.num_frames == 5 * 256
    assert result.files[0].stat().st_size < 1_500_000  # a quarter of what was asked for
    frames = slice(0, 256, 17)
    for take in (0, 4):
        true = build_head(head).vertices(torch.from_numpy(motions[take][frames])).numpy()
        error = np.linalg.norm(packed_pages.vertices(page, 0, take, frames=frames) - true, axis=-1)
        assert error.max() < 5e-5  # metres, with all 52 curves at work at once
    np.testing.assert_array_equal(packed_pages.unpack(page["clip-0"]["sound"]), clip.waveform)


def test_what_the_page_draws_without_turns_is_what_the_metrics_measure(tmp_path):
    head = small_head()
    clip = small_clip(head=head)
    takes = [small_motion(30, seed=k) for k in (1, 2)]
    truth = dataclasses.replace(clip, motion=clip.motion[:26])  # ends sooner, then stands still
    _, page = page_of(tmp_path, head, [takes_of(clip, takes)], [truth])
    shown = page["clip-0"]
    assert (shown["truth"], [h["name"] for h in shown["heads"]]) == (0, ["recorded", "take 0", "take 1"])
    model = build_head(head)
    longer = np.concatenate([truth.motion, np.repeat(truth.motion[-1:], 4, 0)])
    for k, motion in enumerate([longer, *takes]):
        still = model.vertices(torch.from_numpy(motion), pose=False).numpy()
        turned = model.vertices(torch.from_numpy(motion)).numpy()
        assert np.abs(packed_pages.vertices(page, 0, k, still=True) - still).max() < 3e-5
        assert np.abs(packed_pages.vertices(page, 0, k) - turned).max() < 3e-5
    curves = packed_pages.unpack_rows(shown["heads"][1]["rows"])[-len(page["head"]["curves"]) :]
    lips = head.regions["lips"]
    true, take = (model.vertices(torch.from_numpy(m), pose=False).numpy() for m in (longer, takes[0]))
    distances = 1000 * np.linalg.norm(take[:, lips] - true[:, lips], axis=-1).mean(1)
    gap = 1000 * np.linalg.norm(take[:, head.landmarks["lip_top"]] - take[:, head.landmarks["lip_bottom"]], axis=-1)
    assert page["head"]["curves"][:2] == ["lip opening, mm", "distance of the lips to the truth, mm"]
    np.testing.assert_allclose(curves[:2], [gap, distances], atol=1e-3)
    np.testing.assert_allclose(curves[2:], takes[0].T, atol=1e-5)


def test_flame_plays_by_its_joints_and_corrections(tmp_path):
    head = flame_head()
    motions = [0.3 * some_motion(head, (12,), seed=k).numpy() for k in range(2)]
    clip = small_clip(head=small_head(), num_frames=12)
    _, page = page_of(tmp_path, head, [takes_of(clip, motions)])
    size = page["head"]["size"]
    for take, motion in enumerate(motions):
        for still in (False, True):
            true = build_head(head).vertices(torch.from_numpy(motion), pose=not still).numpy()
            assert np.abs(packed_pages.vertices(page, 0, take, still=still) - true).max() < 2e-4 * size


def displacement_head():
    head = small_head()
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(3 * len(head.template), 4)))[0].T
    arrays = {"basis": basis.reshape(4, -1, 3).astype("f4")}
    return dataclasses.replace(head, kind="displacement", features=("pc000", "pc001", "pc002", "pc003"), arrays=arrays)


def test_exact_vertices_of_a_recording_are_kept_to_a_tenth_of_a_millimetre(tmp_path):
    head = displacement_head()
    rng = np.random.default_rng(1)
    motion = (0.01 * rng.normal(size=(30, 4))).astype("f4")
    exact = head.template + np.einsum("tk,kvc->tvc", motion, head.arrays["basis"])
    exact = (exact + 2e-4 * rng.normal(size=exact.shape)).astype("f4")  # what the components cannot say
    clip = small_clip(head=head)
    truth = dataclasses.replace(clip, motion=motion, vertices=exact)
    _, page = page_of(tmp_path, head, [takes_of(clip, [motion])], [truth])
    assert np.linalg.norm(packed_pages.vertices(page, 0, 0) - exact, axis=-1).max() < 1e-4
    by_motion = head.template + np.einsum("tk,kvc->tvc", motion, head.arrays["basis"])
    assert np.linalg.norm(packed_pages.vertices(page, 0, 1) - by_motion, axis=-1).max() < 2e-5


def test_the_page_stands_alone_and_its_words_cannot_end_it(tmp_path):
    clip = small_clip(transcript="a </script><b>&amp; ü", num_frames=5)
    _, page = page_of(tmp_path, small_head(), [takes_of(clip, [clip.motion])])
    assert page["clip-0"]["transcript"] == page["head"]["clips"][0]["transcript"] == "a </script><b>&amp; ü"
    text = (tmp_path / "takes.html").read_text("utf-8")
    assert not re.search(r"https?:|@import|<link|\bsrc=", text)
    assert "default-src 'none'" in text
    assert text.count("<script") == text.count("</script>") == 3  # head, clip, program


def test_many_clips_are_one_page_and_one_that_fails_is_left_out(tmp_path):
    clips = [takes_of(c, [c.motion] * n) for c, n in ((small_clip("a"), 2), (small_clip("b"), 1), (small_clip("c"), 2))]
    samples = written(tmp_path / "samples.h5", "thunder.samples", small_head(), clips)
    result = render(samples, tmp_path / "takes.html", output_format="html", takes=[1])
    assert [c["id"] for c in packed_pages.blocks(result.files[0])["head"]["clips"]] == ["a", "c"]
    (failure,) = result.failures
    assert (failure.item, "takes 0 to 0" in failure.reason, result.num_frames) == ("b", True, 60)
    with pytest.raises(ThunderError, match="takes 0 to 0"):
        render(samples, tmp_path / "b.html", output_format="html", takes=[1], clip_ids=["b"])
    assert not (tmp_path / "b.html").exists()


def test_a_page_that_no_browser_would_like_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(html_page, "_MOST_MEGABYTES", 0.01)
    clip = small_clip()
    samples = written(tmp_path / "samples.h5", "thunder.samples", small_head(), [takes_of(clip, [clip.motion])])
    with pytest.raises(ThunderError, match=r"would have .* MB.*--clip"):
        render(samples, tmp_path / "takes.html", output_format="html")
    assert not (tmp_path / "takes.html").exists()
