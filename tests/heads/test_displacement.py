from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from stages.artifacts.head_record import HeadRecord
from stages.heads.displacement import ReconstructionError, fit_displacement_head, project
from stages.heads.head import build_head
from stages.runtime.errors import ThunderError
from tests.builders import small_head


def surface() -> HeadRecord:
    return replace(small_head(), kind="displacement", features=(), arrays={})


def frames(num_frames: int, rank: int, seed: int = 0) -> np.ndarray:
    """Displacements (T, 64, 3) f32 that span `rank` directions, each weaker than the one before."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(num_frames, rank)) * 0.7 ** np.arange(rank)
    shapes = np.random.default_rng(99).normal(size=(rank, 64 * 3))
    return (0.001 * weights @ shapes).reshape(num_frames, 64, 3).astype("f4")


def cut(values: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (values[k : k + size] for k in range(0, len(values), size))


def test_few_directions_come_back_exactly() -> None:
    exact = frames(700, 5)
    head = fit_displacement_head(surface(), cut(exact, 90), 64)
    assert head.features == ("pc000", "pc001", "pc002", "pc003", "pc004")
    motion = project(head, exact)
    played = build_head(head).vertices(torch.from_numpy(motion)).numpy()
    np.testing.assert_allclose(played, head.template + exact, atol=1e-7)
    assert head.arrays["explained_variance"].sum() == pytest.approx(1.0, abs=1e-5)


def test_the_basis_is_that_of_a_singular_value_decomposition() -> None:
    exact = frames(1500, 60)
    head = fit_displacement_head(surface(), cut(exact, 100), 8)
    _, values, wanted = np.linalg.svd(exact.reshape(1500, -1).astype("f8"), full_matrices=False)
    basis = head.arrays["basis"].reshape(8, -1)
    np.testing.assert_allclose(basis @ basis.T, np.eye(8), atol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(basis * wanted[:8], axis=1)), 1.0, atol=1e-4)
    np.testing.assert_allclose(head.arrays["explained_variance"], values[:8] ** 2 / (values**2).sum(), rtol=1e-3)


def test_the_cuts_between_blocks_hardly_matter_and_signs_are_settled() -> None:
    exact = frames(900, 20)
    once, often = (fit_displacement_head(surface(), cut(exact, size), 6).arrays["basis"] for size in (900, 64))
    np.testing.assert_allclose(once, often, atol=1e-4)


def test_motion_zero_is_the_face_at_rest() -> None:
    head = fit_displacement_head(surface(), [frames(50, 3) + 0.01], 3)
    np.testing.assert_array_equal(build_head(head).vertices(torch.zeros(1, 3))[0], head.template)


def test_fewer_frames_give_fewer_components() -> None:
    assert len(fit_displacement_head(surface(), [frames(4, 20)], 64).features) == 4


def test_squares_beyond_float32_do_no_harm() -> None:
    exact = frames(300, 3)
    exact[200] *= np.float32(1e25)  # finite, but its square is not
    head = fit_displacement_head(surface(), cut(exact, 64), 4)
    strongest = head.arrays["basis"][0].ravel()
    wanted = exact[200].ravel().astype("f8") / np.linalg.norm(exact[200].ravel().astype("f8"))
    assert abs(strongest @ wanted) == pytest.approx(1.0, abs=1e-5)


def test_weak_directions_are_found_beside_strong_ones() -> None:
    weights = np.random.default_rng(1).normal(size=(600, 12)) * np.where(np.arange(12) < 6, 1.0, 1e-3)
    shapes = np.linalg.qr(np.random.default_rng(2).normal(size=(192, 12)))[0].T
    exact = (0.01 * weights @ shapes).reshape(600, 64, 3).astype("f4")
    head = fit_displacement_head(surface(), cut(exact, 50), 12)
    basis = head.arrays["basis"].reshape(12, -1)
    np.testing.assert_allclose(basis @ basis.T, np.eye(12), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(basis @ shapes.T, axis=1), 1.0, atol=1e-3)


def test_a_corpus_that_never_moves_is_refused() -> None:
    for nothing in ([], [np.zeros((10, 64, 3), "f4")]):
        with pytest.raises(ThunderError, match="no frame differs from the face at rest"):
            fit_displacement_head(surface(), nothing, 4)


def test_reconstruction_error_by_region_in_millimetres() -> None:
    head = fit_displacement_head(surface(), [frames(50, 1)], 1)
    error = ReconstructionError()
    moved = np.zeros((3, 64, 3), "f4")
    lip = int(head.regions["lips"][0])
    moved[1, lip] = [0.0, 0.003, 0.004]  # 5 mm in one of three frames
    error.add(head, np.zeros((3, 1), "f4"), moved)
    error.add(head, np.zeros((1, 1), "f4"), np.zeros((1, 64, 3), "f4"))
    assert error.max_mm["lips"] == pytest.approx(5.0)
    assert error.mean_mm["lips"] == pytest.approx(5.0 / (4 * len(head.regions["lips"])))
    assert error.mean_mm["all"] == pytest.approx(5.0 / (4 * 64))
    assert error.max_mm["upper_face"] == 0.0
