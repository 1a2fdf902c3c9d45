from __future__ import annotations

import numpy as np
import pytest
from compress_world import averages, decoded, gradients

from hpctrain.compress.power_sgd import Matrix, PowerSgd, matrices_in

SHAPES = [(0, (30,)), (30, (20, 30)), (630, (4, 3)), (642, (16, 3, 3, 3)), (1074, (16,)), (1090, (50, 1))]
LENGTH = 1140
FOUND = [Matrix(30, 20, 30), Matrix(642, 16, 27)]


def make(rank: int = 2, dtype: str = "float64") -> PowerSgd:
    return PowerSgd(matrices_in(SHAPES, rank), rank, np.dtype(dtype), seed=1, bucket=2)


def rest() -> np.ndarray:
    outside = np.ones(LENGTH, bool)
    for matrix in FOUND:
        outside[matrix.start : matrix.stop] = False
    return outside


def of_rank(rank: int, *sizes: int, seed: int = 0) -> np.ndarray:
    rows, columns = sizes
    return gradients(rows, rank, seed=seed, dtype="float64") @ gradients(rank, columns, seed=seed + 1, dtype="float64")


def test_matrices_are_those_that_get_smaller() -> None:
    assert matrices_in(SHAPES, 2) == FOUND
    assert matrices_in(SHAPES, 1) == [FOUND[0], Matrix(630, 4, 3), FOUND[1]]
    assert matrices_in(SHAPES, 11) == [FOUND[0]]
    assert matrices_in(SHAPES, 12) == []  # 12 (20 + 30) numbers are no fewer than 20 * 30


def test_a_step_is_that_of_the_paper() -> None:
    """Algorithm 1 for one matrix and three ranks, with the Gram-Schmidt process written out."""
    step = gradients(3, LENGTH, dtype="float64")
    warm = make().state()["right"][:30]
    each = [FOUND[0].of(values) for values in step]
    p = np.mean([matrix @ warm for matrix in each], axis=0)
    p[:, 0] /= np.linalg.norm(p[:, 0])
    p[:, 1] -= p[:, 0] * (p[:, 0] @ p[:, 1])
    p[:, 1] /= np.linalg.norm(p[:, 1])
    q = np.mean([matrix.T @ p for matrix in each], axis=0)
    means, residuals, _ = averages(make, [step])
    np.testing.assert_allclose(FOUND[0].of(means[0, 0]), p @ q.T, atol=1e-12)
    for matrix, residual in zip(each, residuals, strict=True):
        np.testing.assert_allclose(FOUND[0].of(residual), matrix - p @ p.T @ matrix, atol=1e-12)


def test_what_is_no_matrix_is_exact() -> None:
    step = gradients(3, LENGTH, dtype="float64")
    means, residuals, _ = averages(make, [step])
    np.testing.assert_allclose(means[0, 0][rest()], step.mean(axis=0)[rest()], atol=1e-14)
    assert not residuals[:, rest()].any()


@pytest.mark.parametrize("size", [1, 3])
def test_a_mean_of_no_higher_rank_is_exact(size: int) -> None:
    step = gradients(size, LENGTH, dtype="float64")
    for matrix in FOUND:
        view = step[:, matrix.start : matrix.stop]
        view -= view.mean(axis=0)  # the ranks differ in everything but a mean of rank 2
        view += of_rank(2, matrix.rows, matrix.columns).reshape(-1)
    means, _, _ = averages(make, [step])
    np.testing.assert_allclose(means[0, 0], step.mean(axis=0), atol=1e-11)


def test_a_rank_that_saves_nothing_is_exact() -> None:
    step = gradients(2, LENGTH, dtype="float64")
    means, residuals, _ = averages(lambda: make(rank=20), [step])
    np.testing.assert_allclose(means[0, 0], step.mean(axis=0), atol=1e-14)
    assert not residuals.any()


def test_warm_starts_come_closer_to_the_best_approximation() -> None:
    left, _, right = np.linalg.svd(gradients(20, 30, dtype="float64"), full_matrices=False)
    matrix = (left * 0.6 ** np.arange(20)) @ right
    best = np.sqrt(sum(0.6 ** (2 * place) for place in range(2, 20)))
    compressor = PowerSgd([Matrix(0, 20, 30)], 2, np.dtype("float64"), 0, 0)
    errors = [np.linalg.norm(decoded(compressor, matrix.reshape(-1)) - matrix.reshape(-1)) for _ in range(12)]
    assert errors[0] > 1.1 * best
    assert (np.diff(errors) < 1e-12).all()
    assert errors[-1] == pytest.approx(best, rel=1e-3)


def test_one_payload_alone_says_the_same_as_a_mean_of_one() -> None:
    step = gradients(1, LENGTH, dtype="float64")
    means, _, _ = averages(make, [step])
    np.testing.assert_allclose(decoded(make(), step[0]), means[0, 0], atol=1e-13)


def test_zeros_stay_zeros_and_what_follows_is_compressed_as_before() -> None:
    compressor = make()
    assert not decoded(compressor, np.zeros(LENGTH)).any()
    values = np.zeros(LENGTH)
    FOUND[0].of(values)[...] = of_rank(2, 20, 30)
    decoded(compressor, values)
    np.testing.assert_allclose(decoded(compressor, values), values, atol=1e-11)


def test_a_gradient_that_is_not_finite_does_not_spoil_the_next_start() -> None:
    compressor = make()
    before = compressor.state()["right"].copy()
    with np.errstate(invalid="ignore"):
        compressor.encode(np.full(LENGTH, np.nan))
    np.testing.assert_array_equal(compressor.state()["right"], before)


def test_the_start_is_keyed_and_of_the_dtype_of_the_bucket() -> None:
    starts = [PowerSgd(FOUND, 2, np.dtype("float32"), *key).state()["right"] for key in ((0, 0), (0, 1), (1, 0))]
    assert {start.shape for start in starts} == {(57, 2)}
    assert {start.dtype for start in starts} == {np.dtype("float32")}
    assert len({start.tobytes() for start in starts}) == 3
