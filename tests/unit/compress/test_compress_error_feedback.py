from __future__ import annotations

import numpy as np
import pytest
from compress_world import LOSSY, NAMES, Rings, averages, build, gradients, run

from hpctrain.comm.communicator import Communicator
from hpctrain.compress.error_feedback import ErrorFeedback
from hpctrain.errors import CheckpointError

LENGTH, RANKS = 1200, 3


def descend(name: str, forgetful: bool, steps: int = 600) -> float:
    """Distance from the minimum of the mean over ranks of |x - centre of the rank|^2 / 2, relative to the start's.

    The centres lie far apart, so gradients are large where their mean is 0. The distance is that of the mean position
    in the second half of the steps. `forgetful`: without error feedback.
    """
    centres = gradients(RANKS, LENGTH, seed=5) ** 3 + 1

    def work(comm: Communicator) -> np.ndarray:
        ranks = Rings(comm)
        feedback = ErrorFeedback(build(name, LENGTH), LENGTH, np.dtype("float32"))
        position = np.zeros(LENGTH, np.float32)
        tail = np.zeros(LENGTH)
        for step in range(steps):
            gradient = position - centres[comm.rank]
            if forgetful:
                feedback.state()["residual"][...] = 0
            feedback.average(gradient, ranks)
            position -= np.float32(0.1 / (1 + step / 50)) * gradient
            tail += position if 2 * step >= steps else 0
        return tail / (steps - steps // 2)

    minimum = centres.mean(axis=0)
    return float(np.linalg.norm(run(RANKS, work)[0] - minimum) / np.linalg.norm(minimum))


@pytest.mark.parametrize("name", LOSSY)
def test_compressed_descent_arrives(name: str) -> None:
    assert descend(name, forgetful=False) < 0.1


@pytest.mark.parametrize("name", ["sign", "top_k"])
def test_without_error_feedback_it_does_not(name: str) -> None:
    """It comes to rest elsewhere: four times as many steps change nothing."""
    distance = descend(name, forgetful=True)
    assert distance > 0.5
    assert abs(descend(name, forgetful=True, steps=2400) - distance) < 0.01


def test_payloads_and_residual_are_all_gradients() -> None:
    for name in NAMES:
        told, total = np.zeros(LENGTH), np.zeros(LENGTH)
        feedback = ErrorFeedback(build(name, LENGTH, "float64"), LENGTH, np.dtype("float64"))
        for step in range(10):
            gradient = gradients(LENGTH, seed=step, dtype="float64")
            feedback.compressor.add(feedback.encode(gradient), told)
            total += gradient
        np.testing.assert_allclose(told + feedback.state()["residual"], total, atol=1e-11, err_msg=name)
        assert name == "none" or feedback.state()["residual"].any()


@pytest.mark.parametrize("name", LOSSY)
def test_what_is_loaded_goes_on_as_what_was_saved(name: str) -> None:
    first, second = (ErrorFeedback(build(name, LENGTH), LENGTH, np.dtype("float32")) for _ in range(2))
    for step in range(3):
        first.encode(gradients(LENGTH, seed=step))
    saved = {key: array.copy() for key, array in first.state().items()}
    expected = [first.encode(gradients(LENGTH, seed=step)) for step in range(3, 6)]
    second.load_state(saved)
    found = [second.encode(gradients(LENGTH, seed=step)) for step in range(3, 6)]
    np.testing.assert_array_equal(found, expected)
    assert all((saved[key] != array).any() for key, array in second.state().items())  # taken by value


@pytest.mark.parametrize("name", LOSSY)
def test_reset_makes_it_new(name: str) -> None:
    feedback = ErrorFeedback(build(name, LENGTH), LENGTH, np.dtype("float32"))
    expected = [feedback.encode(gradients(LENGTH, seed=step)) for step in range(3)]
    feedback.reset()
    np.testing.assert_array_equal([feedback.encode(gradients(LENGTH, seed=step)) for step in range(3)], expected)


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    feedback = ErrorFeedback(build("random_k", 5), 5, np.dtype("float32"))
    feedback.encode(gradients(5))
    before = {key: array.copy() for key, array in feedback.state().items()}
    for state, message in [
        ({"residual": np.zeros(5, np.float32)}, r"compression RandomK: missing \['step'\], unknown \[\]"),
        ({**before, "right": np.zeros(3)}, r"missing \[\], unknown \['right'\]"),
        ({"step": before["step"] + 1, "residual": np.zeros(6, np.float32)}, r"residual is float32 \(6,\), and must"),
        ({"step": before["step"] + 1, "residual": np.zeros(5)}, r"float64 \(5,\), and must be float32 \(5,\)"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            feedback.load_state(state)
        for key, array in feedback.state().items():
            np.testing.assert_array_equal(array, before[key])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_one_step_say_nothing_of_warnings(name: str, recwarn: pytest.WarningsRecorder) -> None:
    step = gradients(2, LENGTH)
    step[0, :3] = np.inf, -np.inf, np.nan
    step[1, :3] = -np.inf, 3e38, 3e38
    averages(lambda: build(name, LENGTH), [step, step])
    assert [str(warning.message) for warning in recwarn] == []


def test_an_encoded_gradient_that_is_not_finite_leaves_the_residual() -> None:
    feedback = ErrorFeedback(build("top_k", 100), 100, np.dtype("float32"))
    feedback.encode(gradients(100))
    before = feedback.state()["residual"].copy()
    assert before.any()
    feedback.encode(np.full(100, np.inf, np.float32))
    np.testing.assert_array_equal(feedback.state()["residual"], before)
