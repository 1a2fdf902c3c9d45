from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpctrain.errors import CheckpointError
from hpctrain.optim.adam import Adam
from hpctrain.optim.sgd import Momentum, Sgd


def make_parameters(size: int = 4) -> list[tuple[str, Any]]:
    names = ["a", "b"]
    return [(name, SimpleNamespace(value=np.ones((2, size)), gradient=np.full((2, size), 0.5))) for name in names]


def test_zero_grad_is_in_place() -> None:
    parameters = make_parameters()
    arrays = [parameter.gradient for _, parameter in parameters]
    optimizer = Sgd(parameters, lr=0.1)
    optimizer.zero_grad()
    assert all((array == 0).all() for array in arrays)
    assert all(parameter.gradient is array for (_, parameter), array in zip(parameters, arrays, strict=True))


def test_arrays_that_were_moved_into_a_buffer_are_used() -> None:
    parameters = make_parameters()
    optimizer = Sgd(parameters, lr=0.1)
    buffer = np.full(8, 3.0)
    parameters[0][1].value = buffer.reshape(2, 4)
    optimizer.step()
    np.testing.assert_allclose(buffer, 2.95)


def test_a_part_of_a_parameter_is_updated_as_in_the_whole_and_the_rest_is_left() -> None:
    whole, parts = make_parameters(), make_parameters()
    for parameters, cut in ((whole, slice(0, 8)), (parts, slice(3, 7))):
        optimizer = Momentum(parameters, lr=0.1)
        optimizer.parts["a"] = cut
        optimizer.parts["b"] = slice(0, 0)
        for _ in range(2):
            optimizer.step()
        optimizer.zero_grad()
        assert all((parameter.gradient == 0).all() for _, parameter in parameters)
    expected = np.where((np.arange(8) >= 3) & (np.arange(8) < 7), whole[0][1].value.reshape(-1), 1)
    np.testing.assert_array_equal(parts[0][1].value.reshape(-1), expected)
    assert (parts[1][1].value == 1).all()


def test_state_may_lie_elsewhere() -> None:
    here, there = Momentum(make_parameters(), lr=0.1), Momentum(make_parameters(), lr=0.1)
    there.step()
    here.step()
    memory = np.empty(8)

    def move(array: np.ndarray) -> np.ndarray:
        memory[...] = array.reshape(-1)
        return memory.reshape(array.shape)

    there.move_state("a.momentum_buffer", move)
    there.step()
    here.step()
    np.testing.assert_array_equal(memory, here.state_dict()["a.momentum_buffer"].reshape(-1))


def test_hooks_come_before_and_after_until_they_are_removed() -> None:
    parameters = make_parameters()
    optimizer = Sgd(parameters, lr=0.1)
    seen: list[tuple[str, float]] = []

    def note(moment: str) -> Any:
        def hook(of: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            assert (of, args, kwargs) == (optimizer, (), {})
            seen.append((moment, float(parameters[0][1].value[0, 0])))

        return hook

    before = optimizer.register_step_pre_hook(note("before"))
    after = optimizer.register_step_post_hook(note("after"))
    optimizer.step()
    assert seen == [("before", 1.0), ("after", 0.95)]
    before.remove()
    optimizer.step()
    assert [moment for moment, _ in seen] == ["before", "after", "after"]
    after.remove()
    after.remove()
    optimizer.step()
    assert len(seen) == 3


def test_a_resumed_optimizer_goes_on_bit_for_bit() -> None:
    def run(cut: int) -> np.ndarray:
        parameters = make_parameters()
        optimizer = Adam(parameters, lr=0.1)
        for step in range(6):
            if step == cut:
                state = {key: np.array(value) for key, value in optimizer.state_dict().items()}
                optimizer = Adam(parameters, lr=0.1)
                optimizer.load_state_dict(state)
                for array in state.values():
                    array[...] = 0  # loading has copied
            for _, parameter in parameters:
                parameter.gradient[...] = np.cos(parameter.value * (step + 1))
            optimizer.step()
        assert optimizer.state_dict()["step"] == 6
        return parameters[0][1].value

    np.testing.assert_array_equal(run(cut=3), run(cut=-1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a.exp_avg": None}, r"optimizer Adam: missing \['a.exp_avg'\], unknown \[\]"),
        ({"step": None}, r"missing \['step'\]"),
        ({"c.exp_avg": np.zeros(3)}, r"missing \[\], unknown \['c.exp_avg'\]"),
        ({"a.exp_avg": np.zeros((2, 5))}, r"a.exp_avg is float64 \(2, 5\), and must be float64 \(2, 4\)"),
        ({"b.exp_avg_sq": np.zeros((2, 4), "float32")}, "b.exp_avg_sq is float32"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change: dict[str, Any], message: str) -> None:
    optimizer = Adam(make_parameters(), lr=0.1)
    optimizer.step()
    before = {key: np.array(value) for key, value in optimizer.state_dict().items()}
    other = Adam(make_parameters(), lr=0.1).state_dict()
    state = {key: value for key, value in {**other, **change}.items() if value is not None}
    with pytest.raises(CheckpointError, match=message):
        optimizer.load_state_dict(state)
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_two_dtypes_can_be_trained_together() -> None:
    parameters = make_parameters()
    parameters[1][1].value = parameters[1][1].value.astype("float32")
    parameters[1][1].gradient = parameters[1][1].gradient.astype("float32")
    Adam(parameters, lr=0.1).step()
    np.testing.assert_allclose(parameters[0][1].value, 0.9)
    np.testing.assert_allclose(parameters[1][1].value, 0.9)


def test_nothing_to_train_is_no_error() -> None:
    optimizer = Adam([], lr=0.1)
    optimizer.step()
    optimizer.zero_grad()
    assert optimizer.state_dict() == {"step": 1}


def test_a_step_allocates_no_array() -> None:
    optimizer = Adam(make_parameters(size=50_000), lr=0.1, weight_decay=0.1)
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000, "bytes; one array has 800,000"
