"""The page in a real browser. Needs a Chromium (Debian: chromium, or chromium-headless-shell) and is skipped without one."""

import dataclasses

import numpy as np
import pytest
import torch

from stages.artifacts.clips import write_clips
from stages.heads.head import build_head
from stages.render import render
from stages.runtime.provenance import Provenance
from tests.builders import small_clip, small_head
from tests.rendering.browser import browser, find_browser

BROWSER = find_browser()
pytestmark = [
    pytest.mark.slow,  # a browser without a graphics card
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here to open a page with"),
]

FPS, NUM_FRAMES = 25, 50
# Drawn in the size that the window has, and nothing left to draw.
SETTLED = """page.numDrawn > 0 && !page.pictureOld && !page.posesOld && !page.laneOld
  && page.drawnFrame === frameAt(sound.currentTime)
  && page.stage.canvas.width === page.stage.canvas.clientWidth && page.stage.canvas.height === page.stage.canvas.clientHeight"""

# The first clip from its beginning, with all heads, from the front.
AFRESH = """(async () => {
  sound.pause();
  if (sound.loop) flip.loop();
  byId("speed").value = "1";
  changeSpeed(0);
  page.still = page.errors = false;
  page.orbit.reset();
  setTheme("light");
  if (page.clip.number !== 0) await openClip(0);
  page.shown = new Set(page.clip.heads.keys());
  page.timeline.show(0, page.clip.duration);
  refresh();
  seek(0);
})()"""
# The next clip's sound takes so long to load that the clip before is drawn meanwhile, at the beginning of that sound.
LATE_SOUND = """(() => {
  const load = loadSound;
  loadSound = async (...given) => {
    loadSound = load;
    await load(...given);
    while (page.drawnFrame !== 0) await new Promise(requestAnimationFrame);
  };
})()"""


def calm(clip, seed):
    """Motion that turns the head little, so that it stays in the picture."""
    motion = small_clip(num_frames=NUM_FRAMES, seed=seed).motion.copy()
    motion[:, -3:] *= 0.2
    return motion


@pytest.fixture(scope="module")
def clips():
    """Two clips: two takes and a recording of each."""
    made = []
    for k, name in enumerate(("first", "second")):
        clip = small_clip(name, num_frames=NUM_FRAMES, fps=FPS, seed=k, transcript=f"words of the {name}")
        takes = np.stack([calm(clip, 10 * k + j) for j in (1, 2)])
        made.append(
            (
                dataclasses.replace(clip, motion=calm(clip, 10 * k)),
                dataclasses.replace(clip, motion=takes, seed=np.arange(2)),
            )
        )
    return made


@pytest.fixture(scope="module")
def page_path(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    for name, k in (("dataset", 0), ("samples", 1)):
        with write_clips(
            folder / f"{name}.h5", f"thunder.{name}", small_head(), Provenance(seed=0, command="test"), force=True
        ) as writer:
            for pair in clips:
                writer.add(pair[k])
    render(folder / "samples.h5", folder / "takes.html", output_format="html", reference_path=folder / "dataset.h5")
    return folder / "takes.html"


@pytest.fixture(scope="module")
def tab(page_path):
    """The page, opened once, which is what takes longest, in a small window."""
    with browser(BROWSER) as tab:
        tab.show(520, 460)
        tab.open(page_path, SETTLED)
        yield tab


@pytest.fixture
def opened(tab):
    """The page as it was when it opened; it must have had nothing to complain of when the test ends."""
    tab.show(520, 460)
    tab.wait("window.innerWidth === 520 && window.innerHeight === 460")
    tab.ask(AFRESH)
    settle(tab)
    yield tab
    complaints, tab.complaints = tab.complaints, []
    assert complaints == []


def settle(tab):
    tab.wait(SETTLED)


def heads_pixels(tab):
    """The picture, and which of its pixels the heads cover: those that change when their canvas is hidden."""
    with_heads = tab.picture()
    tab.ask("void (byId('picture').style.visibility = 'hidden')")
    without = tab.picture()
    tab.ask("void (byId('picture').style.visibility = '')")
    return with_heads, np.abs(with_heads.astype(int) - without).max(2) > 8


def test_it_opens_from_a_file_draws_heads_and_asks_for_nothing(opened):
    _, covered = heads_pixels(opened)
    boxes = opened.ask(
        "page.clip.heads.map(({panel}) => panel.getBoundingClientRect()).map((b) => [b.left, b.top, b.right, b.bottom])"
    )
    assert len(boxes) == 3
    for left, top, right, bottom in boxes:
        inside = covered[int(top) : int(bottom), int(left) : int(right)]
        assert 0.1 < inside.mean() < 0.9
    assert covered.sum() == sum(covered[int(t) : int(b) + 1, int(a) : int(c) + 1].sum() for a, t, c, b in boxes)
    assert {url.partition(":")[0] for url in opened.requests} <= {"file", "blob"}
    assert sum(url.startswith("file:") for url in opened.requests) == 1


def test_sound_and_picture_agree_wherever_one_goes(opened, clips):
    """The frame drawn is the one that belongs to the sound's time, and its vertices are the head's."""
    model = build_head(small_head())
    for time_s in (1.234, 0.02, 0.5, 1.979, 0.0):
        opened.ask(f"seek({time_s})")
        settle(opened)
        at, frame = opened.ask("[sound.currentTime, page.drawnFrame]")
        assert at == pytest.approx(time_s, abs=0.002)
        assert abs(frame - at * FPS) <= 0.5 + 1e-6
        for k, motion in enumerate([clips[0][0].motion, *clips[0][1].motion]):
            drawn = np.array(opened.ask(f"Array.from(page.clip.heads[{k}].points)")).reshape(-1, 3)
            true = model.vertices(torch.from_numpy(motion[frame : frame + 1]))[0].numpy()
            assert np.abs(drawn - true).max() < 5e-5


def test_it_plays_with_sound_and_the_picture_follows(opened):
    before = opened.picture()
    # Slowly, and again and again: the clip may be over before a busy machine looks.
    opened.press(",")
    opened.press(",")
    opened.press("l")
    opened.press(" ")
    opened.wait("!sound.paused && sound.currentTime > 0.3 && page.drawnFrame > 0")
    drawn = opened.ask("page.numDrawn")
    opened.press(" ")
    opened.wait("sound.paused")
    settle(opened)
    at, frame = opened.ask("[sound.currentTime, page.drawnFrame]")
    assert abs(frame - at * FPS) <= 0.5 + 1e-6
    assert drawn > 1
    after = opened.picture()
    top, bottom = opened.ask(
        "[byId('stage').getBoundingClientRect().top, byId('stage').getBoundingClientRect().bottom]"
    )
    moved = np.abs(after.astype(int) - before)[int(top) : int(bottom)].max(2) > 8
    assert moved.sum() > 300
    assert opened.ask("byId('play').getAttribute('aria-label')") == "Play"


def test_keys(opened):
    opened.press("ArrowRight")
    opened.press("ArrowRight")
    opened.press("ArrowLeft")
    settle(opened)
    assert opened.ask("page.drawnFrame") == 1
    opened.press("End")
    settle(opened)
    assert opened.ask("page.drawnFrame") == NUM_FRAMES - 1
    opened.press("2", "Digit2")
    assert opened.ask("[...page.shown]") == [0, 2]
    opened.press("#", "Digit3", shift=True)
    assert opened.ask("[...page.shown]") == [2]
    opened.press("0", "Digit0")
    assert opened.ask("[...page.shown]") == [0, 1, 2]
    opened.press("h")
    assert opened.ask("byId('still').getAttribute('aria-pressed')") == "true"
    opened.press("x")
    assert opened.ask("page.timeline.end - page.timeline.start") == pytest.approx(2 / 1.5)
    opened.press("t")
    assert opened.ask("document.documentElement.dataset.theme") == "dark"
    opened.press(".")
    opened.press(",")
    assert opened.ask("sound.playbackRate") == 0.5


def test_error_colours_are_distances_to_the_truth(opened, clips):
    opened.ask("seek(0.8)")
    settle(opened)
    opened.press("e")
    settle(opened)
    model = build_head(small_head())
    truth, take = (
        model.vertices(torch.from_numpy(m[20:21]), pose=False)[0].numpy()
        for m in (clips[0][0].motion, clips[0][1].motion[1])
    )
    found = opened.ask("Array.from(page.clip.heads[2].distances)")
    np.testing.assert_allclose(found, 1000 * np.linalg.norm(take - truth, axis=-1), atol=0.05)
    assert opened.ask("page.clip.heads[2].words.textContent").startswith(
        f"ø {np.mean(found):.2f} · max {np.max(found):.1f}"
    )
    assert opened.ask("!byId('scale').hidden && byId('full').textContent.endsWith(' mm')")


def test_dragging_scrubs_and_walks_round(opened):
    left, top, width = opened.ask(
        "(() => { const b = track.getBoundingClientRect(); return [b.left, b.top, b.width]; })()"
    )
    opened.drag((left + 0.2 * width, top + 10), (left + 0.6 * width, top + 10))
    settle(opened)
    assert opened.ask("sound.currentTime") == pytest.approx(0.6 * NUM_FRAMES / FPS, abs=0.02)
    assert opened.ask("Number(track.getAttribute('aria-valuenow'))") == pytest.approx(1.2, abs=0.05)
    before = opened.picture()
    x, y = opened.ask(
        "(() => { const b = byId('stage').getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()"
    )
    opened.drag((x, y), (x + 60, y + 20))
    settle(opened)
    yaw, pitch = opened.ask("[page.orbit.yaw, page.orbit.pitch]")
    assert yaw < -0.2 < 0.05 < pitch  # as a globe that is pushed to the right
    assert np.abs(opened.picture().astype(int) - before).max(2).mean() > 1
    opened.press("r")
    assert opened.ask("page.orbit.yaw") == 0


def test_another_clip_from_the_middle_of_one(opened):
    opened.ask("seek(0.8)")
    settle(opened)
    opened.ask(LATE_SOUND)
    opened.ask("(() => { byId('clips').value = '1'; byId('clips').dispatchEvent(new Event('change')); })()")
    opened.wait("page.clip.number === 1 && page.clip.heads.every(({panel}) => panel)")
    settle(opened)
    assert opened.ask("byId('transcript').textContent") == "words of the second"
    assert opened.ask("sound.duration") == pytest.approx(NUM_FRAMES / FPS)
    assert opened.ask("page.timeline.lanes.map(({name, rows}) => [name.split(',')[0], rows.length])") == [
        ["lip opening", 3]
    ]


def test_on_a_phone_in_the_dark_everything_has_room_and_a_name(opened):
    opened.show(360, 640, dark=True, phone=True)
    opened.wait("document.documentElement.dataset.theme === 'dark' && document.documentElement.clientWidth === 360")
    settle(opened)
    assert opened.ask("document.documentElement.scrollWidth <= 360 && document.documentElement.scrollHeight <= 640")
    outside = opened.ask(
        "[...document.querySelectorAll('footer > *, header > *, #stage')].filter((e) => e.offsetWidth && "
        "(e.getBoundingClientRect().right > 361 || e.getBoundingClientRect().bottom > 641)).map((e) => e.id || e.className)"
    )
    assert outside == []
    nameless = opened.ask(
        "[...document.querySelectorAll('button, select, input, summary, [role]:not([hidden])')].filter((e) => "
        "!(e.getAttribute('aria-label') || e.textContent.trim() || e.closest('label'))).map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert opened.picture()[2, 2].max() < 60
