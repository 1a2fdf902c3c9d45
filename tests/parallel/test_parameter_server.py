"""Parameter servers: synchronous ones make the steps of one process; in others, what is late is counted and bounded."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from several_nodes import SeveralNodes
from small_job import SAMPLES, learnable_batch, loss_of, make_model

import hpctrain
from hpctrain import Group
from hpctrain.job.settings import Parallel
from hpctrain.layout.blocks import block
from hpctrain.nn.linear import Linear
from hpctrain.nn.loss import cross_entropy
from hpctrain.nn.sequential import Sequential
from hpctrain.optim.adam import Adam
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.parameter_server import keys as keys_module
from hpctrain.parallel.plan import Plan

pytestmark = pytest.mark.many_cases
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-2, fused=True),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=1e-2),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=1e-2, initial_accumulator_value=0.1),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that hashed keys cut these small models into many."""
    monkeypatch.setattr(keys_module, "BLOCK", 7)


@pytest.fixture(params=[1, 2], ids=["one node", "two nodes"])
def nodes(group: Group, request: pytest.FixtureRequest) -> Iterator[Group]:
    """All ranks, on one node or on two."""
    placed = Group(SeveralNodes(group.comm, request.param))
    yield placed
    placed.close()


def serial_weights(optimizer_name: str, steps: int, clip: float = 0.0) -> list[torch.Tensor]:
    """The oracle: the whole batch in one process, no communication."""
    model = make_model()
    optimizer = OPTIMIZERS[optimizer_name](model.parameters())
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(model, *learnable_batch(step)).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def check_equal(group: Group, model: torch.nn.Module, expected: list[torch.Tensor], rtol: float = 1e-11) -> None:
    for parameter, serial in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.detach(), serial, rtol=rtol, atol=1e-12)
    weights = b"".join(parameter.detach().numpy().tobytes() for parameter in model.parameters())
    assert len(set(group.comm.gather_objects(weights))) == 1


def placements(size: int) -> list[dict[str, object]]:
    """How many servers there can be, and whether they only serve."""
    return [
        {"num_servers": number, "dedicated_servers": dedicated}
        for dedicated in (False, True)
        for number in range(1, size + 1 - dedicated)
    ]


def step_on_its_part(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, workers: tuple[int, ...], rank: int, step: int
) -> None:
    """A rank that only serves computes nothing."""
    optimizer.zero_grad()
    if rank in workers:
        mine = block(SAMPLES, len(workers), workers.index(rank))
        inputs, targets = (part[mine] for part in learnable_batch(step))
        (loss_of(model, inputs, targets) * (len(workers) * len(inputs) / SAMPLES)).backward()
    optimizer.step()


@pytest.mark.parametrize("optimizer_name", list(OPTIMIZERS))
@pytest.mark.parametrize("keys", ["range", "hash"])
@pytest.mark.parametrize("bucket_bytes", [1, 10**6])
def test_synchronous_steps_equal_serial_steps(nodes: Group, optimizer_name: str, keys: str, bucket_bytes: int) -> None:
    for placement in placements(nodes.size):
        model = make_model(seed=nodes.rank)  # only rank 0 has the right weights to start from
        optimizer = OPTIMIZERS[optimizer_name](model.parameters())
        settings = Parallel(strategy="parameter_server", keys=keys, **placement)
        plan = Plan.build(nodes, model, optimizer, settings, bucket_bytes=bucket_bytes)
        Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=pytest.fail)
        for step in range(4):
            step_on_its_part(model, optimizer, plan.workers, nodes.rank, step)
        check_equal(nodes, model, serial_weights(optimizer_name, 4))
        assert not any(optimizer.state.values())  # servers keep it


@pytest.mark.parametrize("keys", ["range", "hash"])
def test_synchronous_gradients_are_clipped_together(nodes: Group, keys: str) -> None:
    for placement in placements(nodes.size):
        model = make_model()
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        plan = Plan.build(nodes, model, optimizer, Parallel(strategy="parameter_server", keys=keys, **placement))
        Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.1, tell=pytest.fail)
        for step in range(3):
            step_on_its_part(model, optimizer, plan.workers, nodes.rank, step)
        check_equal(nodes, model, serial_weights("sgd", 3, clip=0.1), rtol=1e-5)  # torch adds 1e-6 to the norm


def test_gradients_can_be_read_and_changed_between_backward_and_step(nodes: Group) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    settings = {"strategy": "parameter_server", "num_servers": nodes.size, "keys": "hash"}
    hpctrain.distribute(model, optimizer, **settings, group=nodes)
    mine = block(SAMPLES, nodes.size, nodes.rank)
    for step in range(3):
        inputs, targets = learnable_batch(step)
        optimizer.zero_grad()
        loss_of(model, inputs[mine], targets[mine]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    check_equal(nodes, model, serial_weights("sgd", 3, clip=0.1))


def test_each_group_of_parameters_has_its_own_options_and_rate(group: Group) -> None:
    def groups(model: torch.nn.Module) -> torch.optim.Optimizer:
        first, last = model[0].parameters(), model[2].parameters()
        return torch.optim.SGD([{"params": first, "lr": 0.2}, {"params": last, "weight_decay": 0.3}], lr=0.05)

    models = [make_model(), make_model()]
    serial, optimizer = map(groups, models)
    hpctrain.distribute(models[1], optimizer, "parameter_server", group=group, num_servers=group.size, keys="hash")
    schedulers = [torch.optim.lr_scheduler.StepLR(its, step_size=1, gamma=0.5) for its in (serial, optimizer)]
    for step in range(3):
        for model, its, scheduler in zip(models, (serial, optimizer), schedulers, strict=True):
            its.zero_grad()
            loss_of(model, *learnable_batch(step)).backward()
            its.step()
            scheduler.step()
    check_equal(group, models[1], [parameter.detach() for parameter in models[0].parameters()])


def test_parameters_without_a_gradient_are_left_alone(group: Group) -> None:
    model = make_model()
    unused = torch.nn.Parameter(torch.ones(9, dtype=torch.float64))
    model.register_parameter("unused", unused)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.5)
    plan = Plan.build(group, model, optimizer, Parallel(strategy="parameter_server", num_servers=group.size))
    Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=lambda text: None)
    before = model[0].weight.detach().clone()
    step_on_its_part(model, optimizer, plan.workers, group.rank, 0)
    assert torch.equal(unused.detach(), torch.ones(9, dtype=torch.float64))
    assert not torch.equal(model[0].weight.detach(), before)


def make_layers() -> tuple[Sequential, Adam]:
    random = np.random.default_rng(0)
    model = Sequential([Linear(np, 5, 16, "float64"), Linear(np, 16, 3, "float64")])
    for _, parameter in model.named_parameters():
        parameter.value[...] = random.normal(size=parameter.value.shape)
    return model, Adam(model.named_parameters(), lr=1e-2)


def train_layers(model: Sequential, optimizer: Adam, steps: range, mine: slice, scale: float) -> None:
    for step in steps:
        inputs, targets = (part.numpy()[mine] for part in learnable_batch(step))
        optimizer.zero_grad()
        _, gradient, _ = cross_entropy(np, model.forward(inputs), targets)
        model.backward(gradient * scale)
        optimizer.step()


@pytest.mark.parametrize("keys", ["range", "hash"])
def test_layers_of_our_own(group: Group, keys: str) -> None:
    """Two steps, which each number of servers goes on from after a checkpoint of the one before."""
    serial, optimizer = make_layers()
    saved: dict[str, np.ndarray] = {}
    mine, scale = block(SAMPLES, group.size, group.rank), group.size / SAMPLES
    for number in range(1, group.size + 1):
        steps = range(2 * number, 2 * number + 2)
        train_layers(serial, optimizer, steps, slice(None), 1 / SAMPLES)
        model, its = make_layers()
        plan = Plan.build(group, model, its, Parallel(strategy="parameter_server", num_servers=number, keys=keys))
        distribution = Distribution(plan, model, its, read_gradients=False, clip_norm=0.0, tell=pytest.fail)
        if saved:
            with distribution.loading():
                for name, parameter in model.named_parameters():
                    parameter.value[...] = saved[name]
                its.load_state_dict({name: saved[name] for name in its.state_dict()})
        train_layers(model, its, steps, mine, scale)
        assert not any(np.size(array) for name, array in its.state_dict().items() if name != "step")  # servers keep it
        with distribution.consensus(), distribution.whole():
            weights = {name: parameter.value for name, parameter in model.named_parameters()}
            saved = group.comm.gather_objects(copy.deepcopy({**weights, **its.state_dict()}))[0]
        for name, expected in {**{n: p.value for n, p in serial.named_parameters()}, **optimizer.state_dict()}.items():
            np.testing.assert_allclose(saved[name], expected, rtol=1e-11, atol=1e-12, err_msg=name)
        assert len(set(group.comm.gather_objects(b"".join(its.tobytes() for its in weights.values())))) == 1


def test_servers_go_on_from_the_state_that_an_optimizer_has(group: Group) -> None:
    """Two steps alone, and two with servers."""
    serial, its = make_layers()
    train_layers(serial, its, range(4), slice(None), 1 / SAMPLES)
    model, optimizer = make_layers()
    train_layers(model, optimizer, range(2), slice(None), 1 / SAMPLES)
    hpctrain.distribute(model, optimizer, "parameter_server", group=group, num_servers=group.size, read_gradients=False)
    train_layers(model, optimizer, range(2, 4), block(SAMPLES, group.size, group.rank), group.size / SAMPLES)
    for (_, found), (_, expected) in zip(model.named_parameters(), serial.named_parameters(), strict=True):
        np.testing.assert_allclose(found.value, expected.value, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("compression", ["fp16", "int8", "top_k", "random_k", "powersgd"])
@pytest.mark.parametrize("keys", ["range", "hash"])
def test_what_compression_leaves_out_comes_later(group: Group, keys: str, compression: str) -> None:
    """With the same gradient in each step, the sum of what was applied comes close to the sum of what was meant."""
    steps = 30
    settings = {"compression": compression, "compression_ratio": 0.25 if "_k" in compression else 0.01}
    for placement in placements(group.size):
        model = torch.nn.Sequential(torch.nn.Linear(8, 12), torch.nn.Linear(12, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        chosen = Parallel(strategy="parameter_server", keys=keys, **settings, **placement)
        plan = Plan.build(group, model, optimizer, chosen, seed=3)
        Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=pytest.fail)
        before = [parameter.detach().clone() for parameter in model.parameters()]
        for _ in range(steps):
            optimizer.zero_grad()
            if group.rank in plan.workers:
                for number, parameter in enumerate(model.parameters()):
                    random = np.random.default_rng([number, plan.workers.index(group.rank)])
                    gradient = random.normal(size=parameter.shape) / steps
                    parameter.grad = torch.from_numpy(gradient).float()
            optimizer.step()
        for number, (parameter, start) in enumerate(zip(model.parameters(), before, strict=True)):
            drawn = [np.random.default_rng([number, worker]) for worker in range(len(plan.workers))]
            mean = np.mean([random.normal(size=parameter.shape) for random in drawn], axis=0)
            moved = (start - parameter.detach()).numpy()
            assert np.linalg.norm(moved - mean) < 0.4 * np.linalg.norm(mean), number


def test_errors_of_compression_and_state_go_on_where_they_were(group: Group) -> None:
    """By value: five steps are two and three."""
    settings = Parallel(strategy="parameter_server", num_servers=group.size, keys="hash", compression="top_k")

    def make() -> tuple[torch.nn.Module, torch.optim.Optimizer, Distribution]:
        model = make_model()
        optimizer = OPTIMIZERS["adam"](model.parameters())
        plan = Plan.build(group, model, optimizer, settings)
        return model, optimizer, Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=print)

    def steps(model: torch.nn.Module, optimizer: torch.optim.Optimizer, numbers: range) -> None:
        for step in numbers:
            step_on_its_part(model, optimizer, tuple(range(group.size)), group.rank, step)

    whole, optimizer, _ = make()
    steps(whole, optimizer, range(5))
    first, optimizer, distribution = make()
    steps(first, optimizer, range(2))
    errors = {name: np.array(array) for name, array in distribution.own_state().items()}
    saved = saved_torch(group, distribution, first, optimizer)
    second, optimizer, distribution = make()
    load_torch(distribution, second, optimizer, saved)
    distribution.load_own_state(errors)
    steps(second, optimizer, range(2, 5))
    for found, expected in zip(second.parameters(), whole.parameters(), strict=True):
        assert torch.equal(found.detach(), expected.detach())


def saved_torch(
    group: Group, distribution: Distribution, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict, list[dict]]:
    """What rank 0 would write, on all ranks: weights, and the optimizer's state of each parameter."""
    with distribution.consensus(), distribution.whole():
        state = [dict(optimizer.state.get(parameter, {})) for parameter in model.parameters()]
        saved = copy.deepcopy((model.state_dict(), state))
    return group.comm.gather_objects(saved)[0]


@torch.no_grad()
def load_torch(
    distribution: Distribution, model: torch.nn.Module, optimizer: torch.optim.Optimizer, saved: tuple[dict, list[dict]]
) -> None:
    with distribution.loading():
        for (name, values), parameter, its in zip(saved[0].items(), model.parameters(), saved[1], strict=True):
            model.get_parameter(name).copy_(values)
            optimizer.state[parameter].update(copy.deepcopy(its))


@pytest.mark.parametrize("optimizer_name", list(OPTIMIZERS))
@pytest.mark.parametrize("keys", ["range", "hash"])
def test_state_goes_on_with_other_servers_and_without(group: Group, optimizer_name: str, keys: str) -> None:
    """Two steps with some servers, two with others, one with none, are five of one process."""
    others = [{"num_servers": 1, "dedicated_servers": group.size > 1}, {"num_servers": group.size}]
    parts = [{"strategy": "parameter_server", "keys": keys, **its} for its in others] + [{"strategy": "all_reduce"}]
    saved, step = None, 0
    for settings in parts:
        model = make_model()
        optimizer = OPTIMIZERS[optimizer_name](model.parameters())
        plan = Plan.build(group, model, optimizer, Parallel(**settings), bucket_bytes=300)
        distribution = Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=pytest.fail)
        if saved:
            load_torch(distribution, model, optimizer, saved)
        for _ in range(2 if settings["strategy"] == "parameter_server" else 1):
            step_on_its_part(model, optimizer, plan.workers, group.rank, step)
            step += 1
        saved = saved_torch(group, distribution, model, optimizer)
    assert step == 5
    check_equal(group, model, serial_weights(optimizer_name, 5))


def test_more_servers_than_ranks_are_refused(group: Group) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    with pytest.raises(hpctrain.SettingsError, match=rf"num_servers={group.size + 1} in a world of {group.size}:"):
        hpctrain.distribute(model, optimizer, "parameter_server", group=group, num_servers=group.size + 1)
    settings = {"num_servers": group.size, "dedicated_servers": True}
    with pytest.raises(hpctrain.SettingsError, match=rf"leaves no rank of {group.size} to compute"):
        hpctrain.distribute(model, optimizer, "parameter_server", group=group, **settings)


def test_an_optimizer_that_looks_at_whole_parameters_is_refused(group: Group) -> None:
    model = make_model().float()
    optimizer = torch.optim.Adafactor(model.parameters())
    with pytest.raises(hpctrain.ModelError, match="Adafactor is not known to treat every element by itself"):
        hpctrain.distribute(model, optimizer, "parameter_server", group=group)


def make_asynchronous(group: Group, lr: float = 0.05, momentum: float = 0.0, **settings: object) -> tuple:
    """Model, optimizer, plan and distribution of a small job. Momentum makes late updates count for more."""
    model = make_model(seed=group.rank)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, weight_decay=1e-2)
    chosen = Parallel(strategy="parameter_server", **{"consistency": "asynchronous", **settings})
    plan = Plan.build(group, model, optimizer, chosen, bucket_bytes=100)
    told = Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=pytest.fail)
    return model, optimizer, plan, told


def loss_everywhere(group: Group, model: torch.nn.Module) -> float:
    """On many samples; the same on all ranks, or the test fails."""
    batches = [learnable_batch(step) for step in range(20)]
    losses = [float(loss_of(model, *batch).detach()) for batch in batches]
    (loss,) = set(group.comm.gather_objects(float(np.mean(losses))))
    return loss


CONSISTENCIES = [{"consistency": "asynchronous"}] + [
    {"consistency": "bounded", "max_staleness": staleness} for staleness in (0, 1, 3)
]


@pytest.mark.parametrize("keys", ["range", "hash"])
@pytest.mark.parametrize("settings", CONSISTENCIES, ids=str)
def test_asynchronous_steps_learn_and_the_bound_holds(group: Group, settings: dict[str, object], keys: str) -> None:
    """Some ranks are slow, another one in each step; ranks meet twice."""
    steps = 12
    for placement in placements(group.size):
        model, optimizer, plan, distribution = make_asynchronous(group, **settings, **placement, keys=keys)
        before = loss_everywhere(group, make_model())
        for first in (0, steps):
            for step in range(first, first + steps):
                time.sleep(0.004 * ((step + group.rank) % 3 == 0))
                step_on_its_part(model, optimizer, plan.workers, group.rank, step)
            with distribution.consensus():
                assert loss_everywhere(group, model) < before
        staleness = plan.weight_sync.report()["staleness"]
        num_updates = 2 * steps * len(plan.workers) * placement["num_servers"]
        assert sum(staleness["histogram"]) == num_updates
        clocks = staleness if settings["consistency"] == "bounded" else staleness["in_clocks"]
        updates = staleness["in_updates"] if settings["consistency"] == "bounded" else staleness
        assert clocks["max"] <= settings.get("max_staleness", steps)
        assert sum(updates["histogram"]) == num_updates
        if len(plan.workers) == 1:
            assert updates["max"] == 0


def test_one_worker_makes_the_steps_of_one_process(group: Group) -> None:
    """Whatever the number of servers: nobody else changes the weights, so nothing is stale."""
    others = {"num_servers": group.size - 1, "dedicated_servers": True, "keys": "hash"}
    settings = others if group.size > 1 else {}
    model, optimizer, plan, distribution = make_asynchronous(group, lr=0.1, momentum=0.9, **settings)
    for step in range(4):
        step_on_its_part(model, optimizer, plan.workers, group.rank, step)
    with distribution.consensus():
        check_equal(group, model, serial_weights("sgd", 4))


def test_each_worker_clips_its_own_gradient(group: Group) -> None:
    """So W updates of norm 1 at most, with plain SGD of rate 1, move weights by W at most."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    plan = Plan.build(group, model, optimizer, Parallel(strategy="parameter_server", consistency="asynchronous"))
    distribution = Distribution(plan, model, optimizer, read_gradients=False, clip_norm=1e-3, tell=pytest.fail)
    before = torch.cat([parameter.detach().reshape(-1).clone() for parameter in model.parameters()])
    step_on_its_part(model, optimizer, plan.workers, group.rank, 0)
    with distribution.consensus():
        moved = torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()]) - before
    assert 0 < float(moved.norm()) <= 1e-3 * group.size * (1 + 1e-9)


@pytest.mark.parametrize("compression", ["none", "top_k", "powersgd"])
def test_every_push_is_applied_once(group: Group, compression: str) -> None:
    """Gradients that are known: the weights have moved by their sum, whatever the order in which they came."""
    model = torch.nn.Linear(64, 40).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    settings = Parallel(
        strategy="parameter_server",
        consistency="asynchronous",
        num_servers=group.size,
        keys="hash",
        compression=compression,
        compression_ratio=0.5 if compression == "top_k" else 0.01,
    )
    plan = Plan.build(group, model, optimizer, settings)
    distribution = Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=pytest.fail)
    before = model.weight.detach().clone()
    steps = 10
    for _ in range(steps):
        model.bias.grad = torch.zeros(40, dtype=torch.float64)
        model.weight.grad = torch.full((40, 64), 1.0 + group.rank, dtype=torch.float64)
        optimizer.step()
    with distribution.consensus():
        moved = (before - model.weight.detach()).numpy()
    meant = steps * sum(1.0 + rank for rank in range(group.size))
    if compression == "top_k":  # what is still owed is less than three gradients
        np.testing.assert_array_less(np.abs(moved - meant), 3 * sum(1.0 + rank for rank in range(group.size)))
    else:
        np.testing.assert_allclose(moved, meant, rtol=1e-9)


@pytest.mark.parametrize("dedicated", [False, True])
def test_a_worker_that_is_stopped_holds_up_nobody(group: Group, dedicated: bool) -> None:
    """The first rank stops for a while; others make all their steps meanwhile, and it then catches up."""
    if dedicated and group.size < 3:
        return
    placement = {"num_servers": 1, "dedicated_servers": dedicated}
    model, optimizer, plan, distribution = make_asynchronous(group, **placement)
    steps, pause = 8, 1.5
    started = time.monotonic()
    for step in range(steps):
        if step == 2:
            group.barrier()
            time.sleep(pause if group.rank == 0 else 0)  # its main thread; a server on this rank goes on
        step_on_its_part(model, optimizer, plan.workers, group.rank, step)
    took = group.comm.gather_objects(time.monotonic() - started)
    assert took[0] > pause
    others = [took[worker] for worker in plan.workers if worker]
    assert all(seconds < pause for seconds in others)
    with distribution.consensus():
        staleness = plan.weight_sync.report()["staleness"]
    assert staleness["max"] >= (steps - 2) * (len(plan.workers) - 1)
    assert staleness["in_clocks"]["max"] >= steps - 3 or len(plan.workers) == 1


def test_a_step_that_is_skipped_holds_up_nobody(group: Group) -> None:
    """With no staleness at all, all wait for all: also for who drops each of its steps."""
    model, optimizer, plan, distribution = make_asynchronous(group, consistency="bounded", max_staleness=0)
    for step in range(4):
        if group.rank == 0:
            optimizer.zero_grad()
            distribution.drop_step()
        else:
            step_on_its_part(model, optimizer, plan.workers, group.rank, step)
    with distribution.consensus():
        assert sum(plan.weight_sync.report()["staleness"]["histogram"]) == 4 * (group.size - 1)
