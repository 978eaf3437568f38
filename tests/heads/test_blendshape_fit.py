import numpy as np
from scipy.optimize import lsq_linear

from stages.heads.blendshape_fit import fit_blendshapes


def shapes_of(seed: int, count: int = 8, vertices: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.01, (count, vertices, 3)).astype("f4")


def test_known_weights_come_back() -> None:
    shapes, rng = shapes_of(0), np.random.default_rng(1)
    known = rng.uniform(-0.5, 1.5, (30, 8)).clip(0, 1).astype("f4")  # many on a bound
    weights, remaining = fit_blendshapes(np.einsum("tk,kvc->tvc", known, shapes), shapes)
    np.testing.assert_allclose(weights, known, atol=1e-5)
    assert remaining.max() < 1e-12


def test_what_cannot_be_reached_remains_and_the_rest_is_the_bounded_optimum() -> None:
    """Shapes twice as strong as their bound allows, shapes the wrong way round, and noise; SciPy is the oracle."""
    shapes, rng = shapes_of(2), np.random.default_rng(3)
    wanted = np.einsum("tk,kvc->tvc", rng.uniform(-1, 2, (6, 8)), shapes) + rng.normal(0, 0.01, (6, 40, 3))
    weights, remaining = fit_blendshapes(wanted.astype("f4"), shapes)
    for frame, found, left in zip(wanted, weights, remaining, strict=True):
        best = lsq_linear(shapes.reshape(8, -1).T.astype(float), frame.reshape(-1), (0, 1), tol=1e-12)
        np.testing.assert_allclose(found, best.x, atol=1e-4)
        np.testing.assert_allclose(left, 2 * best.cost / 40, rtol=1e-4)


def test_a_shape_that_is_the_sum_of_others_leaves_one_answer() -> None:
    shapes = shapes_of(4, 3)
    shapes[2] = shapes[0] + shapes[1]
    weights, remaining = fit_blendshapes(0.5 * shapes[2:], shapes)
    assert remaining.max() < 1e-10
    np.testing.assert_allclose(weights @ shapes.reshape(3, -1), 0.5 * shapes[2:].reshape(1, -1), atol=1e-6)
    again, _ = fit_blendshapes(0.5 * shapes[2:], shapes)
    np.testing.assert_array_equal(weights, again)
