from __future__ import annotations

import numpy as np
import pytest
import torch

from hpctrain.errors import ModelError
from hpctrain.nn.loss import cross_entropy, mean_squared_error


@pytest.mark.parametrize(("samples", "classes"), [(1, 1), (1, 2), (13, 10), (64, 3)])
def test_cross_entropy_equals_torch(random: np.random.Generator, samples: int, classes: int) -> None:
    logits = 5 * random.standard_normal((samples, classes))
    targets = random.integers(0, classes, samples)
    theirs = torch.from_numpy(logits).requires_grad_()
    expected = torch.nn.functional.cross_entropy(theirs, torch.from_numpy(targets), reduction="sum")
    expected.backward()
    before = logits.copy()
    loss, gradient, correct = cross_entropy(np, logits, targets)
    assert theirs.grad is not None
    assert loss == pytest.approx(expected.item(), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-10, atol=1e-12)
    assert correct == (logits.argmax(axis=1) == targets).sum()
    np.testing.assert_array_equal(logits, before)


def test_cross_entropy_of_positions_equals_torchs_mean(random: np.random.Generator) -> None:
    logits, targets = 3 * random.standard_normal((5, 7, 4)), random.integers(0, 4, (5, 7))
    theirs = torch.from_numpy(logits).requires_grad_()
    losses = torch.nn.functional.cross_entropy(theirs.movedim(2, 1), torch.from_numpy(targets), reduction="none")
    expected = losses.mean(1).sum()
    expected.backward()
    loss, gradient, correct = cross_entropy(np, logits, targets)
    assert theirs.grad is not None
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-10, atol=1e-12)
    assert correct == pytest.approx((logits.argmax(axis=2) == targets).mean(axis=1).sum(), rel=1e-12)


@pytest.mark.parametrize(("samples", "outputs"), [(1, 1), (13, 1), (8, 5)])
def test_mean_squared_error_equals_torch(random: np.random.Generator, samples: int, outputs: int) -> None:
    predicted, targets = random.standard_normal((2, samples, outputs))
    theirs = torch.from_numpy(predicted).requires_grad_()
    expected = torch.nn.functional.mse_loss(theirs, torch.from_numpy(targets)) * samples
    expected.backward()
    loss, gradient, correct = mean_squared_error(np, predicted, targets)
    assert theirs.grad is not None
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-12)
    assert correct is None


@pytest.mark.filterwarnings("error")
def test_no_samples_have_no_loss() -> None:
    loss, gradient, correct = cross_entropy(np, np.zeros((0, 3), "float32"), np.zeros(0, "int64"))
    assert (loss, gradient.shape, correct) == (0, (0, 3), 0)
    loss, gradient, correct = cross_entropy(np, np.zeros((0, 5, 3), "float32"), np.zeros((0, 5), "int64"))
    assert (loss, gradient.shape, correct) == (0, (0, 5, 3), 0)
    loss, gradient, nothing = mean_squared_error(np, np.zeros((0, 3)), np.zeros((0, 3)))
    assert (loss, gradient.shape, nothing) == (0, (0, 3), None)


@pytest.mark.filterwarnings("error")
def test_large_logits_are_finite() -> None:
    logits = np.array([[1e4, -1e4], [1e4, -1e4]], dtype="float32")
    loss, gradient, correct = cross_entropy(np, logits, np.array([0, 1]))
    assert loss == 2e4
    np.testing.assert_array_equal(gradient, np.array([[0, 0], [1, -1]], dtype="float32"))
    assert correct == 1


def test_float32_stays_float32_and_is_summed_in_float64(random: np.random.Generator) -> None:
    predicted = random.standard_normal((1000, 3)).astype("float32")
    targets = np.zeros_like(predicted)
    loss, gradient, _ = mean_squared_error(np, predicted, targets)
    assert gradient.dtype == "float32"
    assert loss == pytest.approx((predicted.astype("float64") ** 2).sum() / 3, rel=1e-7)
    assert cross_entropy(np, predicted, np.zeros(1000, "int64"))[1].dtype == "float32"


def test_losses_of_parts_add_up(random: np.random.Generator) -> None:
    logits, targets = random.standard_normal((10, 4)), random.integers(0, 4, 10)
    parts = [cross_entropy(np, logits[cut], targets[cut])[0] for cut in (slice(0, 3), slice(3, 3), slice(3, 10))]
    assert sum(parts) == pytest.approx(cross_entropy(np, logits, targets)[0], rel=1e-12)


def test_targets_of_another_shape_are_refused() -> None:
    with pytest.raises(ModelError, match=r"outputs have shape \(4, 1\) and the targets \(4,\)"):
        mean_squared_error(np, np.zeros((4, 1)), np.zeros(4))
