"""Which words stand in a window, and what is seen and heard of them: worked by hand."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from stages.artifacts.clips import open_clips, write_clips
from stages.models.lip_reader import LipReader, LipReaderConfig, LipReading
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance
from stages.training.clips_in_memory import TrainingClip, load_training_clips
from stages.training.spoken_words import Script, SpokenWords, check_some_words, find_words, word_spans
from stages.training.windows import WindowShape, window_at
from tests.builders import small_clip, small_head
from tests.training.clips import clock_clip


def reader_of(form: str = "light", max_frames: int = 50) -> LipReader:
    torch.manual_seed(0)
    config = LipReaderConfig(
        characters=" abc", form=form, channels=2, dim=8, num_layers=1, num_heads=2, kernel=3, decoder_layers=1,
        fusion_dim=8, dropout=0.0, max_frames=max_frames,
    )  # fmt: skip
    return LipReader(config).eval().requires_grad_(False)


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def write(path: Path, *transcripts: str, fps: float = 30.0) -> Path:
    with write_clips(path, "thunder.dataset", small_head(), Provenance(seed=0), force=True) as writer:
        for k, transcript in enumerate(transcripts):
            writer.add(small_clip(f"c{k}", num_frames=45, fps=fps, transcript=transcript))
    return path


def script_of(path: Path, reader: LipReader, most_crops: int = 40) -> Script:
    with open_clips(path, "thunder.dataset") as file:
        clips, fps = load_training_clips(file, "train")
        script = find_words(clips, file, reader, fps, most_crops=most_crops)
        check_some_words(script, file)
        return script


def test_words_are_parted_half_way_between_their_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: LipReader, crops: None, sound: Tensor, mask: Tensor) -> LipReading:
        assert crops is None
        assert sound.shape[1] == 4 * mask.shape[1] == 148  # 45 frames at 30 fps end 1.467 s after the first: 37 of 25
        # "Ab, ba!" is "ab ba": its characters are heard in these fiftieths of a second, and no others.
        log_probs = torch.full((1, 74, 6), -30.0)
        log_probs[..., 0] = 0
        for label, character in ((10, 2), (14, 3), (20, 1), (30, 3), (34, 2)):
            log_probs[0, label] = -30.0
            log_probs[0, label, character] = 0
        return LipReading(log_probs, torch.zeros(1, 37, 8))

    monkeypatch.setattr(LipReader, "forward", read)
    (words,) = script_of(write(tmp_path / "d.h5", "Ab, ba!"), reader_of()).words
    assert words is not None
    assert words.labels == [2, 3, 1, 3, 2]
    assert words.spans == [(0, 2), (3, 5)]
    # In frames of 40 ms: a at 5.25, b at 7.25; b at 15.25, a at 17.25. A quarter of a second before and after: six frames.
    assert words.cuts == [0, 11, 23]


def script(words: SpokenWords | None, fps: float = 30.0, most_crops: int = 40, form: str = "light") -> Script:
    return Script([clock_clip(45, fps)], [words], reader_of(form), fps, most_crops)


WORDS = SpokenWords([2, 3, 1, 3, 2], [(0, 2), (3, 5)], [0, 11, 23])


def test_a_run_of_words_with_its_frames_sound_and_text() -> None:
    fps = 30.0
    # From frame 6, at 0.2 s, the second word is whole; it begins at 11 / 25 = 0.44 s, at frame 13.2 of the clip.
    window = window_at(clock_clip(45, fps), 6, WindowShape(22, fps, num_context=4))
    found = script(WORDS).extracts(window, dice(), num_context=4)
    assert found is not None
    torch.testing.assert_close(found.position, torch.arange(11, 23)[None] * 1.2 - 6)
    assert found.mask.all()
    assert (found.labels.tolist(), found.num_labels.tolist()) == ([[3, 2]], [2])
    # Mel frame l of the clock holds l / 100: 48 of them from 0.44 s.
    torch.testing.assert_close(found.sound, (0.44 + torch.arange(48) / 100)[None, :, None].expand(1, 48, 80))
    # The motion of the clock at those positions tells the same times.
    times = (window.start + found.position) / fps
    torch.testing.assert_close(times, torch.arange(11, 23)[None] / 25)


@pytest.mark.parametrize(
    ("start", "num_frames", "most_crops", "labels"),
    [
        (0, 30, 40, [2, 3, 1, 3, 2]),  # both words and the space between
        (0, 30, 22, None),  # 23 crops are too many: one of the two
        (0, 26, 40, [2, 3]),  # the second needs frame 26.4
        (1, 28, 40, [3, 2]),
        (20, 20, 40, []),
        (0, 30, 11, [2, 3]),
        (0, 30, 10, []),
    ],
)
def test_which_words_are_inside(start: int, num_frames: int, most_crops: int, labels: list[int] | None) -> None:
    window = window_at(clock_clip(45, 30.0), start, WindowShape(num_frames, 30.0))
    found = [script(WORDS, most_crops=most_crops).extracts(window, dice(seed)) for seed in range(8)]
    told = {tuple(row) for some in found if some is not None for row in some.labels.tolist()}
    assert told == ({(2, 3), (3, 2)} if labels is None else {tuple(labels)} if labels else set())


def test_what_lies_beyond_the_clip_holds_no_words() -> None:
    # The window reaches from frame 30 to 75, the clip to 45.
    late = SpokenWords([2, 3], [(0, 2)], [30, 38])
    window = window_at(clock_clip(45, 30.0), 30, WindowShape(45, 30.0))
    assert script(late).extracts(window, dice()) is None
    assert script(SpokenWords([2, 3], [(0, 2)], [30, 37])).extracts(window, dice()) is not None
    assert script(None).extracts(window, dice()) is None


def test_text_that_ctc_cannot_fit_is_not_asked_for() -> None:
    # Two labels a crop: "aaa" wants five.
    window = window_at(clock_clip(45, 30.0), 0, WindowShape(45, 30.0))
    assert script(SpokenWords([2, 2, 2], [(0, 3)], [3, 5])).extracts(window, dice()) is None
    assert script(SpokenWords([2, 2, 2], [(0, 3)], [3, 6])).extracts(window, dice()) is not None


def test_a_reader_of_waveforms_hears_the_samples_of_the_run() -> None:
    words = SpokenWords(WORDS.labels, WORDS.spans, WORDS.cuts, torch.arange(24_000).to(torch.int16))
    window = window_at(clock_clip(45, 30.0), 6, WindowShape(22, 30.0))
    found = script(words, form="published").extracts(window, dice())
    assert found is not None
    expected = torch.nn.functional.layer_norm(torch.arange(640 * 11.0, 640 * 23), (640 * 12,))
    torch.testing.assert_close(found.sound, expected[None], atol=2e-3, rtol=2e-3)


def test_spans_of_words_in_characters_and_in_pieces() -> None:
    assert word_spans([2, 1, 3], 8) == [(0, 2), (3, 4), (5, 8)]  # spaces are spelled
    assert word_spans([2, 1, 3], 6) == [(0, 2), (2, 3), (3, 6)]  # they are a part of pieces
    assert word_spans([4], 4) == [(0, 4)]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "d.h5", "ab", "", "ab xyz", "a" * 60)
    left_out = script_of(path, reader_of()).left_out
    assert left_out == {
        "not read from its lips: no transcript": ["c1"],
        "not read from its lips: characters that the lip reader cannot write": ["c2"],
        "not read from its lips: more characters than CTC can fit into its length": ["c3"],
    }
    with pytest.raises(
        ThunderError, match=r"no training clip can be read from its lips \(longer than the 0.8 s .*: c0"
    ):
        script_of(path, reader_of(max_frames=20))
    with pytest.raises(ThunderError, match=r"\(no transcript: c0, c1\); wanted transcripts"):
        script_of(write(tmp_path / "mute.h5", "", "!"), reader_of())


def test_extracts_of_a_batch_are_padded() -> None:
    clips: list[TrainingClip] = [clock_clip(45, 25.0)] * 2
    words = [SpokenWords([2, 3], [(0, 2)], [2, 8]), SpokenWords([4, 1, 4], [(0, 1), (2, 3)], [5, 10, 20])]
    found = Script(clips, words, reader_of(), 25.0, 40)
    batch = [window_at(clips[k], 0, WindowShape(30, 25.0)) for k in (0, 1)]
    columns = {name: torch.cat([getattr(window, name) for window in batch]) for name in vars(batch[0])}
    both = found.extracts(type(batch[0])(**columns | {"clip": torch.tensor([0, 1])}), dice())
    assert both is not None
    assert both.window.tolist() == [0, 1]
    assert both.mask.sum(1).tolist() == [6, 15]
    assert both.position[0, :6].tolist() == [2, 3, 4, 5, 6, 7]
    assert both.labels.tolist() == [[2, 3, 0], [4, 1, 4]]
    assert both.take(torch.tensor([1])).num_labels.tolist() == [3]
    second = both.of_window(1)
    assert second is not None
    assert (second.window.tolist(), second.labels.tolist()) == ([0], [[4, 1, 4]])
    assert both.of_window(2) is None
