"""Live Link Face CSV: what is written comes back, whatever the order of columns, and bad files are named by line."""

import numpy as np
import pytest

from stages.formats.live_link_face import EYE_YAW_RANGE, read_live_link_face, write_live_link_face
from stages.heads.arkit import ARKIT_FEATURES
from stages.runtime.errors import ThunderError


def random_motion(num_frames, seed=0):
    return np.random.default_rng(seed).normal(0.3, 0.4, (num_frames, len(ARKIT_FEATURES))).astype(np.float32)


@pytest.mark.parametrize("fps", [24.0, 25.0, 30 / 1.001, 30.0, 60.0, 100.0])
@pytest.mark.parametrize("num_frames", [1, 2, 24, 25, 181])
def test_motion_and_rate_come_back_exactly(tmp_path, fps, num_frames):
    motion = random_motion(num_frames)
    write_live_link_face(tmp_path / "a.csv", motion, fps)
    found, found_fps = read_live_link_face(tmp_path / "a.csv")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, motion)
    assert found_fps == pytest.approx(fps if num_frames > 1 else round(fps), rel=1e-6)


def test_the_layout_is_that_of_live_link_face(tmp_path):
    motion = np.zeros((51, len(ARKIT_FEATURES)), np.float32)
    motion[:, ARKIT_FEATURES.index("eyeLookOutLeft")] = 1
    write_live_link_face(tmp_path / "a.csv", motion, 25)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    header, first, last = (line.split(",") for line in (lines[0], lines[1], lines[-1]))
    assert header[:4] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft", "EyeLookDownLeft"]
    assert header[53:57] == ["TongueOut", "HeadYaw", "HeadPitch", "HeadRoll"]
    assert header[57:] == ["LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll"]
    assert first[:2] == ["00:00:00:00.000", "61"]
    assert last[0] == "00:00:02:00.000"
    # The left eye turns outwards, to the subject's left; the right eye stays.
    assert float(first[57]) == pytest.approx(EYE_YAW_RANGE)
    assert float(first[60]) == 0


def test_columns_are_matched_by_name_in_any_order_and_case(tmp_path):
    motion = random_motion(30)
    write_live_link_face(tmp_path / "a.csv", motion, 25)
    cells = [line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines()]
    order = np.random.default_rng(1).permutation(len(cells[0]))
    cells[0] = [name[0].lower() + name[1:] for name in cells[0]]
    text = "\n".join(",".join([row[k] for k in order] + ["extra"]) for row in cells)
    (tmp_path / "b.csv").write_text("\ufeff" + text, encoding="utf-8")
    found, fps = read_live_link_face(tmp_path / "b.csv")
    np.testing.assert_array_equal(found, motion)
    assert fps == 25


def test_timecodes_of_a_phone_give_its_rate(tmp_path):
    write_live_link_face(tmp_path / "a.csv", random_motion(3), 25)
    header, *rows = (tmp_path / "a.csv").read_text().splitlines()
    values = rows[0].split(",", 1)[1]
    # 60 timecode frames a second, of which every second one was kept, over midnight.
    stamps = [f"23:59:59:{k:02d}.250" for k in range(1, 60, 2)] + [f"00:00:00:{k:02d}.250" for k in range(1, 60, 2)]
    (tmp_path / "b.csv").write_text("\n".join([header, *(f"{stamp},{values}" for stamp in stamps)]))
    assert read_live_link_face(tmp_path / "b.csv")[1] == 30


def test_an_explicit_rate_wins(tmp_path):
    write_live_link_face(tmp_path / "a.csv", random_motion(40), 25)
    assert read_live_link_face(tmp_path / "a.csv", fps=50)[1] == 50


def edited(tmp_path, change):
    write_live_link_face(tmp_path / "a.csv", random_motion(30), 25)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join(change(lines)))
    return tmp_path / "a.csv"


def replace_cell(line, column, value):
    cells = line.split(",")
    cells[column] = value
    return ",".join(cells)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [], "found 0 lines"),
        (lambda lines: lines[:1], "found 1 lines"),
        (lambda lines: [lines[0].replace("JawOpen", "Jaw"), *lines[1:]], "columns missing: JawOpen"),
        (lambda lines: ["a,b,c", "1,2,3"], "EyeLookUpLeft and 50 more"),
        (lambda lines: [*lines[:4], replace_cell(lines[4], 3, "nan"), *lines[5:]], "line 5: EyeLookDownLeft is 'nan'"),
        (
            lambda lines: [*lines[:4], "", replace_cell(lines[4], 2, "wide"), *lines[5:]],
            "line 6: EyeBlinkLeft is 'wide'",
        ),
        (lambda lines: [*lines[:4], replace_cell(lines[4], 2, "1e60"), *lines[5:]], "line 5: EyeBlinkLeft is '1e60'"),
        (
            lambda lines: [*lines[:7], lines[7] + ",0", *lines[8:]],
            "line 8: wanted 63 columns as in the header, found 64",
        ),
        (lambda lines: [*lines[:7], replace_cell(lines[7], 0, "7"), *lines[8:]], "line 8: timecode '7'"),
        (lambda lines: [*lines[:7], lines[3], *lines[8:]], "line 8: timecode does not increase"),
        (lambda lines: lines[:10], "within one second"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, change, message):
    path = edited(tmp_path, change)
    with pytest.raises(ThunderError, match=r"a\.csv") as caught:
        read_live_link_face(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_binary_and_missing_files_are_named(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(256)))
    with pytest.raises(ThunderError, match="not a CSV"):
        read_live_link_face(tmp_path / "a.csv")
    with pytest.raises(ThunderError, match="cannot be read"):
        read_live_link_face(tmp_path / "b.csv")


def test_motion_that_is_not_finite_or_of_another_width_is_not_written(tmp_path):
    motion = random_motion(5)
    motion[3, 7] = np.nan
    with pytest.raises(ThunderError, match="frame 3"):
        write_live_link_face(tmp_path / "a.csv", motion, 25)
    with pytest.raises(ThunderError, match=r"\(5, 52\)"):
        write_live_link_face(tmp_path / "a.csv", motion[:, :52], 25)
    assert not list(tmp_path.iterdir())
