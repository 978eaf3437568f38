"""The shipped mannequin, and the code that makes it: shape, symmetry, and each curve doing what its name says."""

from collections.abc import Callable

import numpy as np
import pytest

from stages.artifacts.head_record import LANDMARKS, HeadRecord
from stages.heads.arkit import ARKIT_CURVES, ARKIT_FEATURES
from stages.heads.head import embedded_head
from tests.heads.intersections import intersecting_faces, segment_hits_triangle

_MM = 1000.0
_FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def shipped() -> HeadRecord:
    return embedded_head()


@pytest.fixture(scope="module")
def built() -> HeadRecord:
    pytest.importorskip("scipy")
    from stages.heads.mannequin import build_mannequin

    return build_mannequin()


@pytest.fixture(params=["shipped", "built"])
def head(request: pytest.FixtureRequest) -> HeadRecord:
    return request.getfixturevalue(request.param)


def _pose(head: HeadRecord, **weights: float) -> np.ndarray:
    """Vertices (V, 3) in mm; a name without its side means both sides."""
    vertices = head.template.astype(np.float64)
    for name, weight in weights.items():
        for curve in [name] if name in ARKIT_CURVES else [name + "Left", name + "Right"]:
            vertices = vertices + weight * head.arrays["basis"][ARKIT_CURVES.index(curve)]
    return _MM * vertices


def _mirror(head: HeadRecord) -> np.ndarray:
    """Finds for every vertex the one at its mirrored place."""
    from scipy.spatial import cKDTree

    distance, image = cKDTree(head.template).query(head.template * _FLIP)
    assert distance.max() == 0.0
    assert (np.sort(image) == np.arange(len(image))).all()
    return image


def _gap(head: HeadRecord, vertices: np.ndarray) -> float:
    return float(vertices[head.landmarks["lip_top"], 1] - vertices[head.landmarks["lip_bottom"], 1])


def _width(head: HeadRecord, vertices: np.ndarray) -> float:
    return float(vertices[head.landmarks["mouth_left"], 0] - vertices[head.landmarks["mouth_right"], 0])


def test_counts_units_and_features(head: HeadRecord) -> None:
    assert 4500 <= len(head.template) <= 6000
    assert head.features == ARKIT_FEATURES
    assert head.units == "m"
    assert head.arrays["basis"].shape == (52, len(head.template), 3)
    assert head.arrays["colours"].shape == head.template.shape
    assert ((head.arrays["colours"] >= 0) & (head.arrays["colours"] <= 1)).all()


def test_it_is_life_size_and_stands_in_the_agreed_frame(head: HeadRecord) -> None:
    p = _MM * head.template
    from_chin_to_crown = p[:, 1].max() - p[head.landmarks["chin"], 1]
    assert 205 < from_chin_to_crown < 240
    eyes = p[head.regions["eyes"]]
    between_the_pupils = eyes[eyes[:, 0] > 0].mean(0)[0] - eyes[eyes[:, 0] < 0].mean(0)[0]
    assert between_the_pupils == pytest.approx(63, abs=2)
    assert p[head.landmarks["mouth_left"], 0] > 20  # the subject's left is +X
    assert p[head.landmarks["nose_tip"], 2] == p[:, 2].max()  # +Z out of the face
    assert p[head.landmarks["nose_tip"], 1] > p[head.landmarks["lip_top"], 1] > p[head.landmarks["chin"], 1]


def test_faces_are_manifold_used_oriented_and_not_degenerate(head: HeadRecord) -> None:
    faces, p = head.faces, _MM * head.template.astype(np.float64)
    assert (np.unique(faces) == np.arange(len(p))).all()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)  # each direction once: oriented alike, at most two faces an edge
    corners = p[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.linalg.norm(normals, axis=1).min() / 2 > 0.01  # mm²
    # Outward: each closed part encloses a positive volume, and the skin of the crown looks up.
    for part in ("eyes", "teeth", "tongue"):
        inside = np.isin(faces, head.regions[part]).all(1)
        volume = np.einsum("ij,ij->", corners[inside, 0], np.cross(corners[inside, 1], corners[inside, 2])) / 6
        assert volume > 1000
    crown = corners[:, :, 1].min(1) > 100
    assert (normals[crown, 1] > 0).all()
    assert crown.sum() > 20


def test_nothing_cuts_through_anything_at_rest(head: HeadRecord) -> None:
    assert len(intersecting_faces(head.template, head.faces)) == 0


def test_the_intersection_test_finds_what_a_naive_loop_finds() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (90, 3))
    faces = np.arange(90).reshape(30, 3)
    expected = set()
    for i in range(30):
        for j in range(30):
            for k in range(3):
                start, end = points[faces[i, k]], points[faces[i, (k + 1) % 3]]
                if i != j and segment_hits_triangle(start[None], end[None], points[faces[j]][None])[0]:
                    expected.add((min(i, j), max(i, j)))
    found = {(min(a, b), max(a, b)) for a, b in intersecting_faces(points, faces).tolist()}
    assert found == expected
    assert len(found) > 10


def test_a_segment_hits_a_triangle_only_inside_it() -> None:
    triangle = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    through, beside = np.array([[0.2, 0.2, -1.0]]), np.array([[0.9, 0.9, -1.0]])
    up = np.array([[0.0, 0.0, 2.0]])
    assert segment_hits_triangle(through, through + up, triangle)[0]
    assert not segment_hits_triangle(beside, beside + up, triangle)[0]
    assert not segment_hits_triangle(through, through + 0.4 * up, triangle)[0]


def test_the_rest_pose_and_every_pair_of_curves_mirror_exactly(head: HeadRecord) -> None:
    image = _mirror(head)
    mirrored_faces = np.sort(image[head.faces], axis=1)
    assert {tuple(f) for f in mirrored_faces.tolist()} == {tuple(f) for f in np.sort(head.faces, axis=1).tolist()}
    for name in ARKIT_CURVES:
        other = name.replace("Left", "Right") if "Left" in name else name.replace("Right", "Left")
        shape = head.arrays["basis"][ARKIT_CURVES.index(name)]
        partner = head.arrays["basis"][ARKIT_CURVES.index(other)]
        np.testing.assert_allclose(partner, shape[image] * _FLIP, atol=1e-7, err_msg=name)
    np.testing.assert_array_equal(head.arrays["rotation_weights"][image], head.arrays["rotation_weights"])
    for name, region in head.regions.items():
        assert set(image[region]) == set(region.tolist()), name


def test_left_curves_act_on_the_left(head: HeadRecord) -> None:
    x = head.template[:, 0]
    for name in ARKIT_CURVES:
        if name.endswith("Left") and name not in ("jawLeft", "mouthLeft"):
            size = np.linalg.norm(head.arrays["basis"][ARKIT_CURVES.index(name)], axis=1)
            assert size[x > 0].sum() > 4 * size[x < 0].sum(), name
    for name in ("jawLeft", "mouthLeft"):
        assert head.arrays["basis"][ARKIT_CURVES.index(name)][:, 0].mean() > 0


def test_regions_and_landmarks(head: HeadRecord) -> None:
    assert set(head.landmarks) == set(LANDMARKS)
    for name, region in head.regions.items():
        assert region.dtype == np.int32
        assert (np.diff(region) > 0).all(), name
    regions = {k: set(v.tolist()) for k, v in head.regions.items()}
    assert regions["lips"] < regions["mouth"] < regions["skin"]
    assert regions["upper_face"] < regions["skin"]
    assert not regions["mouth"] & regions["upper_face"]
    assert 600 <= len(regions["mouth"]) <= 1000
    assert all(head.landmarks[name] in regions["lips"] for name in LANDMARKS[:4])
    parts = [regions[k] for k in ("skin", "eyes", "teeth", "tongue")]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(head.template)


def test_the_head_turns_as_a_whole_and_the_neck_stays_at_its_foot(head: HeadRecord) -> None:
    weights, y = head.arrays["rotation_weights"], _MM * head.template[:, 1]
    assert (weights[(y > -60)] == 1).all()
    assert (weights[head.regions["mouth"]] > 0.999).all()
    assert weights[y < y.min() + 1].max() < 0.05
    assert abs(head.arrays["pivot"][0]) == 0


@pytest.mark.parametrize("curve", ARKIT_CURVES)
def test_each_curve_is_visible_stays_in_its_place_and_leaves_the_scalp_alone(shipped: HeadRecord, curve: str) -> None:
    size = _MM * np.linalg.norm(shipped.arrays["basis"][ARKIT_CURVES.index(curve)], axis=1)
    expected = {"jaw": "mouth", "mou": "mouth", "bro": "upper_face", "tong": "tongue", "eye": "upper_face"}
    region = next((r for prefix, r in expected.items() if curve.startswith(prefix)), "skin")
    assert size[shipped.regions[region]].max() > 1.0
    assert size.max() < 65.0
    assert size[shipped.regions["scalp"]].max() == 0.0
    if region == "upper_face":
        assert size[shipped.regions["mouth"]].max() < 0.5
    if curve.startswith("mouth"):
        assert size[shipped.regions["eyes"]].max() == 0.0
        assert size[shipped.regions["teeth"]].max() == 0.0


def test_the_mouth_is_closed_at_rest_and_opens_with_the_jaw(head: HeadRecord) -> None:
    assert 0 < _gap(head, _pose(head)) <= 0.3
    gaps = [_gap(head, _pose(head, jawOpen=a)) for a in np.linspace(0, 1, 6)]
    assert (np.diff(gaps) > 1).all()
    assert 28 < gaps[-1] < 38
    opened = _pose(head, jawOpen=1.0)
    lower_teeth = [v for v in head.regions["teeth"] if opened[v, 1] < _MM * head.template[v, 1] - 1]
    assert len(lower_teeth) == len(head.regions["teeth"]) // 2


@pytest.mark.parametrize("amount", [0.1, 0.35, 0.7, 1.0])
def test_mouth_close_closes_the_lips_of_an_open_jaw(head: HeadRecord, amount: float) -> None:
    vertices = _pose(head, jawOpen=amount, mouthClose=amount)
    assert 0 <= _gap(head, vertices) <= 0.4
    chin = head.landmarks["chin"]
    assert vertices[chin, 1] < _MM * head.template[chin, 1] - 15 * amount  # the jaw is still open


def _lips_part(head: HeadRecord, **weights: float) -> float:
    return _gap(head, _pose(head, **weights))


def test_lips_narrow_widen_part_and_press(head: HeadRecord) -> None:
    rest = _width(head, _pose(head))
    assert _width(head, _pose(head, mouthPucker=1)) < 0.7 * rest
    assert _lips_part(head, mouthPucker=1) < 1.0
    assert _width(head, _pose(head, mouthFunnel=1)) < 0.75 * rest
    assert _lips_part(head, mouthFunnel=1) > 8
    assert _width(head, _pose(head, mouthSmile=1)) > 1.15 * rest
    assert _width(head, _pose(head, mouthStretch=1)) > 1.15 * rest
    assert _lips_part(head, mouthUpperUp=1) > 4
    assert _lips_part(head, mouthLowerDown=1) > 4
    for curve in ("mouthSmile", "mouthFrown", "mouthStretch", "mouthDimple", "mouthPress", "mouthShrugUpper"):
        assert 0 <= _lips_part(head, **{curve: 1.0}) < 0.6, curve
    left = head.landmarks["mouth_left"]
    assert _pose(head, mouthSmile=1)[left, 1] > _pose(head)[left, 1] + 5
    assert _pose(head, mouthFrown=1)[left, 1] < _pose(head)[left, 1] - 5
    top = head.landmarks["lip_top"]
    assert _pose(head, mouthPucker=1)[top, 2] > _pose(head)[top, 2] + 5


def test_the_lower_lip_reaches_the_upper_teeth_for_f(head: HeadRecord) -> None:
    vertices = _pose(head, jawOpen=0.08, mouthRollLower=0.5, mouthUpperUp=0.2)
    still = np.abs(_pose(head, jawOpen=1.0) - _pose(head)).max(1) == 0
    upper_teeth = [v for v in head.regions["teeth"] if still[v]]
    near_middle = np.array([v for v in upper_teeth if abs(vertices[v, 0]) < 6 and vertices[v, 2] > 85])
    edge = vertices[near_middle, 1].min()
    lower_lip = vertices[head.landmarks["lip_bottom"]]
    assert abs(lower_lip[1] - edge) < 1.5
    assert 0 < lower_lip[2] - vertices[near_middle, 2].max() < 8


def _left_eye(head: HeadRecord) -> tuple[np.ndarray, np.ndarray, float]:
    """Vertices of the left ball, its centre and its radius, mm."""
    eye = head.regions["eyes"][head.template[head.regions["eyes"], 0] > 0]
    low, high = _MM * head.template[eye].min(0), _MM * head.template[eye].max(0)
    radius = (high[0] - low[0]) / 2
    return eye, np.array([*(low + high)[:2] / 2, low[2] + radius]), float(radius)


def _front_of_left_eye_is_covered(head: HeadRecord, vertices: np.ndarray) -> float:
    """Share of the rays from the front of the eye's opening that meet skin before the ball."""
    _, centre, _ = _left_eye(head)
    x, y = np.meshgrid(np.linspace(-11, 11, 12), np.linspace(-4.5, 4.5, 8))
    start = np.stack([centre[0] + x.ravel(), centre[1] + y.ravel(), np.full(x.size, 130.0)], 1)
    skin = head.faces[np.isin(head.faces, head.regions["upper_face"]).all(1)]
    near = np.abs(vertices[skin].mean(1) - centre)[:, :2].max(1) < 30
    corners = vertices[skin[near]]
    end = np.repeat((start - [0, 0, 130.0 - centre[2]])[:, None], len(corners), 1).reshape(-1, 3)
    begin = np.repeat(start[:, None], len(corners), 1).reshape(-1, 3)
    hits = segment_hits_triangle(begin, end, np.tile(corners, (len(start), 1, 1)))
    return float(hits.reshape(len(start), -1).any(1).mean())


def test_a_blink_covers_the_eye_and_never_cuts_into_it(head: HeadRecord) -> None:
    shares = [_front_of_left_eye_is_covered(head, _pose(head, eyeBlink=a)) for a in (0.0, 0.5, 1.0)]
    assert shares[0] < 0.25
    assert shares[0] < shares[1] < shares[2]
    assert shares[2] == 1.0
    _, centre, radius = _left_eye(head)
    skin = head.regions["skin"]
    for amount in (0.25, 0.5, 0.75, 1.0):
        vertices = _pose(head, eyeBlink=amount)
        assert np.linalg.norm(vertices[skin] - centre, axis=1).min() > radius, amount
        cuts = intersecting_faces(vertices, head.faces)
        assert not np.isin(head.faces[cuts.ravel()], head.regions["eyes"]).any(), amount


@pytest.mark.parametrize(
    ("curve", "moves"),
    [
        ("eyeLookDownLeft", lambda d: d[1] < -5),
        ("eyeLookUpLeft", lambda d: d[1] > 5),
        ("eyeLookInLeft", lambda d: d[0] < -5),
        ("eyeLookOutLeft", lambda d: d[0] > 5),
    ],
)
def test_the_left_pupil_goes_where_the_name_says(
    head: HeadRecord, curve: str, moves: Callable[[np.ndarray], bool]
) -> None:
    eye, centre, _ = _left_eye(head)
    pupil = eye[np.argmax(head.template[eye, 2])]
    before, after = _pose(head), _pose(head, **{curve: 1.0})
    assert moves(after[pupil] - before[pupil])
    a, b = before[pupil] - centre, after[pupil] - centre
    angle = np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
    assert angle == pytest.approx(25, abs=1.5)


def test_the_tongue_comes_out_past_the_lips(head: HeadRecord) -> None:
    vertices = _pose(head, tongueOut=1, jawOpen=0.4)
    lip = vertices[head.landmarks["lip_bottom"]]
    tongue = vertices[head.regions["tongue"]]
    assert tongue[:, 2].max() > lip[2] + 5
    assert _pose(head)[head.regions["tongue"], 2].max() < _pose(head)[head.landmarks["lip_bottom"], 2] - 5


def test_the_shipped_head_is_the_one_the_code_makes(shipped: HeadRecord, built: HeadRecord) -> None:
    """Another platform may triangulate a little differently, so places are compared, not vertex numbers."""
    assert len(built.template) == pytest.approx(len(shipped.template), rel=0.02)
    for name in LANDMARKS:
        a, b = shipped.landmarks[name], built.landmarks[name]
        np.testing.assert_allclose(built.template[b], shipped.template[a], atol=5e-4, err_msg=name)
        np.testing.assert_allclose(
            built.arrays["basis"][:, b], shipped.arrays["basis"][:, a], atol=1e-3, err_msg=f"curves at {name}"
        )
