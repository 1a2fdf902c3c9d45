"""Hogwild: what ranks add to shared weights is there, how late it came is counted, and it learns."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from several_nodes import SeveralNodes
from small_job import SAMPLES, learnable_batch, loss_of, make_model

import hpctrain
from hpctrain import Group
from hpctrain.comm.window import SharedLocks, SharedWindow, Window
from hpctrain.job.settings import Parallel
from hpctrain.layout.blocks import block
from hpctrain.nn.linear import Linear
from hpctrain.nn.loss import cross_entropy
from hpctrain.nn.sequential import Sequential
from hpctrain.optim.adam import Adam
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan

pytestmark = pytest.mark.many_cases


@pytest.fixture(params=[1, 2], ids=["one node", "two nodes"])
def nodes(group: Group, request: pytest.FixtureRequest) -> Iterator[Group]:
    """All ranks, on one node (shared memory) or on two (windows of the library)."""
    placed = Group(SeveralNodes(group.comm, request.param))
    yield placed
    placed.close()


@pytest.fixture(params=["shared memory", "library"])
def window(group: Group, request: pytest.FixtureRequest) -> Iterator[Window]:
    num_bytes = 8 * 1000
    made = SharedWindow(group.comm, num_bytes) if request.param == "shared memory" else group.comm.window(num_bytes)
    yield made
    group.barrier()
    made.close()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_each_rank_reads_and_writes_the_memory_of_all(group: Group, window: Window, dtype: str) -> None:
    length, offset = 500, 80
    for rank in range(group.size):
        if group.rank == (rank + 1) % group.size:
            window.put(np.arange(length, dtype=dtype) + rank, rank, offset)
    group.barrier()
    for rank in range(group.size):
        found = np.empty(length, dtype)
        window.get(found, rank, offset)
        np.testing.assert_array_equal(found, np.arange(length) + rank)
        before = np.empty(offset // found.itemsize, dtype)
        window.get(before, rank, 0)
        np.testing.assert_array_equal(before, 0)


def test_no_update_is_lost_under_a_lock(group: Group, window: Window) -> None:
    """Whole numbers, so that sums are exact: all ranks add to the memory of all at the same time."""
    rounds = 200
    ones = np.ones(1000, np.float64)
    group.barrier()
    for _ in range(rounds):
        for step in range(group.size):
            window.add_alone(ones * (1 + group.rank), (group.rank + step) % group.size, 0)
    group.barrier()
    for rank in range(group.size):
        found = np.empty(1000)
        window.get(found, rank, 0)
        np.testing.assert_array_equal(found, rounds * sum(range(1, group.size + 1)))


def test_what_is_added_without_a_lock_is_not_made_up(group: Group, window: Window) -> None:
    """At most what was added, and at least what one rank alone added last; MPI loses nothing at all."""
    rounds = 50
    group.barrier()
    for _ in range(rounds):
        window.add(np.ones(1000), 0, 0)
    group.barrier()
    found = np.empty(1000)
    window.get(found, 0, 0)
    assert (found <= rounds * group.size).all()
    assert (found >= 1).all()
    if not isinstance(window, SharedWindow):
        assert group.comm.native is None or (found == rounds * group.size).all()


def test_updates_are_counted(group: Group, window: Window) -> None:
    group.barrier()
    before = [window.count_update() for _ in range(20)]
    assert before == sorted(before)
    group.barrier()
    assert window.num_updates == 20 * group.size
    group.barrier()
    if group.rank == group.size - 1:
        assert window.count_update() == 20 * group.size
    group.barrier()
    assert window.num_updates == 20 * group.size + 1


def test_a_lock_is_held_by_one_rank_at_a_time(group: Group) -> None:
    locks = SharedLocks(group.node_comm)
    board = group.shared_array(1, np.int64, per="node")
    for _ in range(100):
        with locks.held(5):
            seen = int(board[0])
            time.sleep(1e-5)
            board[0] = seen + 1
    group.barrier()
    assert board[0] == 100 * group.size


def step_on_its_part(model: torch.nn.Module, optimizer: torch.optim.Optimizer, group: Group, step: int) -> None:
    inputs, targets = (part[block(SAMPLES, group.size, group.rank)] for part in learnable_batch(step))
    optimizer.zero_grad()
    loss_of(model, inputs, targets).backward()
    optimizer.step()


def distributed(
    group: Group, model: torch.nn.Module, optimizer: torch.optim.Optimizer, locking: str
) -> tuple[Plan, Distribution]:
    plan = Plan.build(group, model, optimizer, Parallel(strategy="hogwild", locking=locking), bucket_bytes=100)
    made = Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=pytest.fail)
    return plan, made


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


@pytest.mark.parametrize("locking", ["none", "shard"])
def test_it_learns_and_counts_what_was_late(nodes: Group, locking: str) -> None:
    model = make_model(seed=nodes.rank)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plan, distribution = distributed(nodes, model, optimizer, locking)
    before = np.mean([float(loss_of(make_model(), *learnable_batch(step)).detach()) for step in range(20)])
    steps = 15
    for first in (0, steps):
        for step in range(first, first + steps):
            time.sleep(0.003 * ((step + nodes.rank) % 3 == 0))
            step_on_its_part(model, optimizer, nodes, step)
        with distribution.consensus():
            weights = nodes.comm.gather_objects(flat(model).numpy().tobytes())
            assert len(set(weights)) == 1
            after = np.mean([float(loss_of(model, *learnable_batch(step)).detach()) for step in range(20)])
    assert after < before
    staleness = plan.weight_sync.report()["staleness"]
    assert sum(staleness["histogram"]) == 2 * steps * nodes.size
    assert staleness["unit"] == "updates"
    assert (staleness["max"] > 0) == (nodes.size > 1)


def test_under_locks_the_weights_are_the_sum_of_all_changes(nodes: Group) -> None:
    """Gradients that are known, and whole numbers, so that the order does not matter."""
    model = torch.nn.Linear(64, 40).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    _, distribution = distributed(nodes, model, optimizer, "shard")
    steps = 40
    for _ in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, -(1.0 + nodes.rank))
        optimizer.step()
    with distribution.consensus():
        expected = steps * sum(range(1, nodes.size + 1))
        assert torch.equal(flat(model), torch.full_like(flat(model), expected))


def test_a_rank_that_is_alone_makes_its_own_steps(group: Group) -> None:
    """All others have nothing to add: the weights are those of one process, to the rounding of what is added."""
    oracle = make_model()
    optimizers = [torch.optim.Adam(oracle.parameters(), lr=1e-2)]
    model = make_model(seed=group.rank)
    optimizers.append(torch.optim.Adam(model.parameters(), lr=1e-2))
    _, distribution = distributed(group, model, optimizers[1], "none")
    for step in range(5):
        optimizers[0].zero_grad()
        loss_of(oracle, *learnable_batch(step)).backward()
        optimizers[0].step()
        optimizers[1].zero_grad()
        if group.rank == 0:
            loss_of(model, *learnable_batch(step)).backward()
        optimizers[1].step()
    with distribution.consensus():
        torch.testing.assert_close(flat(model), flat(oracle), rtol=1e-9, atol=1e-12)


def test_a_rank_that_is_stopped_holds_up_nobody(group: Group) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    plan, distribution = distributed(group, model, optimizer, "shard")
    steps, pause = 8, 1.0
    started = time.monotonic()
    for step in range(steps):
        if step == 2:
            group.barrier()
            time.sleep(pause if group.rank == 0 else 0)
        step_on_its_part(model, optimizer, group, step)
    took = group.comm.gather_objects(time.monotonic() - started)
    assert took[0] > pause
    assert all(seconds < pause for seconds in took[1:])
    with distribution.consensus():
        assert plan.weight_sync.report()["staleness"]["max"] >= (steps - 2) * (group.size - 1)


def test_layers_of_our_own_in_somebodys_loop(nodes: Group) -> None:
    random = np.random.default_rng(0)
    model = Sequential([Linear(np, 5, 16, "float64"), Linear(np, 16, 3, "float64")])
    for _, parameter in model.named_parameters():
        parameter.value[...] = random.normal(size=parameter.value.shape)
    optimizer = Adam(model.named_parameters(), lr=1e-2)
    hpctrain.distribute(model, optimizer, "hogwild", group=nodes)
    losses = []
    for step in range(40):
        inputs, targets = (part.numpy() for part in learnable_batch(step))
        optimizer.zero_grad()
        loss, gradient, _ = cross_entropy(np, model.forward(inputs), targets)
        model.backward(gradient / SAMPLES)
        optimizer.step()
        losses.append(loss)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    with hpctrain.consensus(model):
        found = nodes.comm.gather_objects([parameter.value.tobytes() for _, parameter in model.named_parameters()])
        assert found.count(found[0]) == nodes.size
