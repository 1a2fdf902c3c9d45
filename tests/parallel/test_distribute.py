"""Somebody's own torch loop, made parallel: k steps on any number of ranks equal k steps of one."""

from __future__ import annotations

import copy
import gc
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from several_nodes import SeveralNodes
from small_job import SAMPLES, global_batch, loss_of

import hpctrain
from hpctrain import Group
from hpctrain.collectives import nodes as nodes_module
from hpctrain.layout.blocks import block
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan

STRATEGIES = {
    "node_shared": {"strategy": "all_reduce", "gradient_sync": "node_shared"},
    "replicated": {"strategy": "all_reduce", "gradient_sync": "replicated"},
    "central": {"strategy": "central"},
}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=1e-2),
}


@pytest.fixture(params=[1, 2], ids=["one node", "two nodes"])
def nodes(group: Group, request: pytest.FixtureRequest) -> Iterator[Group]:
    """All ranks, on one node or on two."""
    placed = Group(SeveralNodes(group.comm, request.param))
    yield placed
    placed.close()


def make_model(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    layers = torch.nn.Linear(5, 64), torch.nn.Tanh(), torch.nn.Linear(64, 40), torch.nn.Tanh(), torch.nn.Linear(40, 3)
    return torch.nn.Sequential(*layers).double()  # 24 KB: some pages for each rank


def serial_weights(optimizer_name: str, steps: int, clip: float = 0.0) -> list[torch.Tensor]:
    """The oracle: the whole batch in one process, no communication."""
    model = make_model()
    optimizer = OPTIMIZERS[optimizer_name](model.parameters())
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(model, *global_batch(step)).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def check_equal(group: Group, model: torch.nn.Module, expected: list[torch.Tensor]) -> None:
    for parameter, serial in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.detach(), serial, rtol=1e-11, atol=1e-12)
    weights = b"".join(parameter.detach().numpy().tobytes() for parameter in model.parameters())
    assert len(set(group.comm.gather_objects(weights))) == 1


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("optimizer_name", list(OPTIMIZERS))
@pytest.mark.parametrize("read_gradients", [True, False])
@pytest.mark.parametrize("bucket_bytes", [1, 200, 10**6])
def test_steps_equal_serial_steps(
    nodes: Group,
    strategy: dict[str, str],
    optimizer_name: str,
    read_gradients: bool,
    bucket_bytes: int,
) -> None:
    model = make_model(seed=nodes.rank)  # only rank 0 has the right weights to start from
    optimizer = OPTIMIZERS[optimizer_name](model.parameters())
    model, optimizer = hpctrain.distribute(
        model, optimizer, **strategy, group=nodes, read_gradients=read_gradients, bucket_bytes=bucket_bytes
    )
    mine = block(SAMPLES, nodes.size, nodes.rank)
    for step in range(5):
        inputs, targets = global_batch(step)
        optimizer.zero_grad(set_to_none=bool(step % 2))
        loss_of(model, inputs[mine], targets[mine]).backward()
        optimizer.step()
    check_equal(nodes, model, serial_weights(optimizer_name, 5))


@pytest.mark.parametrize("read_gradients", [True, False])
@pytest.mark.parametrize("bucket_bytes", [1, 10**6])
def test_on_a_node_with_numa_domains(
    group: Group, monkeypatch: pytest.MonkeyPatch, read_gradients: bool, bucket_bytes: int
) -> None:
    """Of different sizes, if ranks are odd."""
    monkeypatch.setattr(nodes_module, "numa_domain", lambda cores: group.rank % 2)
    split = group.split(0)
    assert len(split.nodes.part.domains) == min(2, group.size)
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    settings = {"read_gradients": read_gradients, "bucket_bytes": bucket_bytes, "gradient_sync": "node_shared"}
    model, optimizer = hpctrain.distribute(model, optimizer, group=split, **settings)
    mine = block(SAMPLES, split.size, split.rank)
    for step in range(3):
        inputs, targets = global_batch(step)
        optimizer.zero_grad()
        loss_of(model, inputs[mine], targets[mine]).backward()
        optimizer.step()
    check_equal(split, model, serial_weights("sgd", 3))
    split.close()


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_after_backward_every_rank_reads_the_mean_gradient_and_may_change_its_own(
    nodes: Group, strategy: dict[str, str]
) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    model, optimizer = hpctrain.distribute(model, optimizer, **strategy, group=nodes)
    mine = block(SAMPLES, nodes.size, nodes.rank)
    for step in range(3):
        inputs, targets = global_batch(step)
        optimizer.zero_grad()
        loss_of(model, inputs[mine], targets[mine]).backward()
        norms = nodes.comm.gather_objects(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)))
        assert len(set(norms)) == 1
        optimizer.step()
    check_equal(nodes, model, serial_weights("sgd", 3, clip=0.1))


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_clipping_inside_is_clipping_outside(nodes: Group, strategy: dict[str, str]) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    model, optimizer = hpctrain.distribute(
        model, optimizer, **strategy, group=nodes, read_gradients=False, clip_norm=0.1, bucket_bytes=100
    )
    mine = block(SAMPLES, nodes.size, nodes.rank)
    for step in range(3):
        inputs, targets = global_batch(step)
        optimizer.zero_grad()
        loss_of(model, inputs[mine], targets[mine]).backward()
        optimizer.step()
    for parameter, serial in zip(model.parameters(), serial_weights("sgd", 3, clip=0.1), strict=True):
        torch.testing.assert_close(parameter.detach(), serial, rtol=1e-5, atol=1e-7)  # torch adds 1e-6 to the norm


@pytest.mark.parametrize("read_gradients", [True, False])
def test_gradients_accumulate(nodes: Group, read_gradients: bool) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    model, optimizer = hpctrain.distribute(
        model, optimizer, group=nodes, read_gradients=read_gradients, accumulate_batches=2
    )
    mine = block(SAMPLES, nodes.size, nodes.rank)
    for step in range(3):
        inputs, targets = (part[mine] for part in global_batch(step))
        optimizer.zero_grad()
        for half in (slice(0, len(inputs) // 2), slice(len(inputs) // 2, None)):
            share = len(inputs[half]) / len(inputs)
            (loss_of(model, inputs[half], targets[half]) * share).backward()
        optimizer.step()
    check_equal(nodes, model, serial_weights("adam", 3))


def test_ranks_with_different_numbers_of_samples_weigh_exactly(nodes: Group) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    model, optimizer = hpctrain.distribute(model, optimizer, group=nodes, read_gradients=False)
    mine = slice(0, SAMPLES) if nodes.size == 1 else slice(0, 0)
    if nodes.size > 1 and nodes.rank:  # rank 0 has nothing, the last rank most
        mine = slice(nodes.rank - 1, nodes.rank if nodes.rank < nodes.size - 1 else SAMPLES)
    for step in range(3):
        inputs, targets = (part[mine] for part in global_batch(step))
        optimizer.zero_grad()
        if len(inputs):
            (loss_of(model, inputs, targets) * (nodes.size * len(inputs) / SAMPLES)).backward()
        optimizer.step()
    check_equal(nodes, model, serial_weights("sgd", 3))


def test_learning_rate_schedulers_work_as_ever(group: Group) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model, optimizer = hpctrain.distribute(model, optimizer, group=group)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    for _ in range(2):
        loss_of(model, *global_batch(0)).backward()
        optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr() == [0.25]


class Branching(torch.nn.Module):
    """Uses one branch or the other."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = torch.nn.ModuleList([torch.nn.Linear(5, 3), torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)])

    def forward(self, inputs: torch.Tensor, branch: int) -> torch.Tensor:
        return self.branches[branch](inputs)


@pytest.mark.parametrize("read_gradients", [True, False])
@pytest.mark.parametrize("bucket_bytes", [1, 10**6])
def test_parameters_that_only_some_ranks_use(nodes: Group, read_gradients: bool, bucket_bytes: int) -> None:
    """Used on some ranks: the mean counts the others as 0. Used on none: no gradient, so no weight decay either."""
    torch.manual_seed(0)
    model = Branching()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    settings = {"read_gradients": read_gradients, "bucket_bytes": bucket_bytes}
    model, optimizer = hpctrain.distribute(model, optimizer, group=nodes, **settings)
    inputs, targets = global_batch(0)
    told: list[str] = []
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(model(inputs.float(), int(nodes.rank == 0)), targets)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loss.backward()
            optimizer.step()
        told += [str(warning.message) for warning in caught]
        optimizer.zero_grad()
    if nodes.rank == 0 and nodes.size > 1:
        counted = "while other ranks have one: the mean counts it as 0"
        others = "rank 1" if nodes.size == 2 else f"ranks 1-{nodes.size - 1}"
        assert told == [
            f"no gradient of branches.0.weight, branches.0.bias on rank 0, {counted}",
            f"no gradient of branches.1.weight, branches.1.bias on {others}, {counted}",
            "no gradient of branches.2.weight, branches.2.bias on any rank, so no update: does the loss depend on it?",
        ]
    changed = [not torch.equal(now.detach(), then) for now, then in zip(model.parameters(), before, strict=True)]
    assert changed == [nodes.size > 1] * 2 + [True] * 2 + [False] * 2
    assert model.branches[2].weight.grad is None
    weights = [parameter.detach().numpy().tobytes() for parameter in model.parameters()]
    assert nodes.comm.gather_objects(weights).count(weights) == nodes.size


def test_running_statistics_and_frozen_weights_agree(nodes: Group) -> None:
    torch.manual_seed(nodes.rank)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3))
    model[0].weight.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model, optimizer = hpctrain.distribute(model, optimizer, group=nodes)
    inputs, targets = global_batch(nodes.rank)
    loss_of(model, inputs.float(), targets).backward()
    optimizer.step()
    state = {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}
    assert all(other == state for other in nodes.comm.gather_objects(state))
    assert model[1].num_batches_tracked == 1


def test_tied_weights_and_strided_weights(group: Group) -> None:
    torch.manual_seed(0)
    first, second = torch.nn.Linear(5, 5), torch.nn.Linear(5, 5)
    second.weight = first.weight
    first.bias = torch.nn.Parameter(torch.ones(10)[::2])
    model = torch.nn.Sequential(first, second)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer = hpctrain.distribute(model, optimizer, group=group)
    loss_of(model, global_batch(0)[0].float(), global_batch(0)[1]).backward()
    optimizer.step()
    assert model[0].weight is model[1].weight
    weights = [parameter.detach().numpy().tobytes() for parameter in model.parameters()]
    assert group.comm.gather_objects(weights).count(weights) == group.size


def test_what_cannot_be_distributed_is_refused(group: Group) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    with pytest.raises(hpctrain.ModelError, match="cannot distribute a dict"):
        hpctrain.distribute({}, optimizer, group=group)
    with pytest.raises(hpctrain.ModelError, match="nothing to train"):
        hpctrain.distribute(torch.nn.ReLU(), optimizer, group=group)
    with pytest.raises(
        hpctrain.SettingsError, match=r'strategy is "allreduce", and must be one of .*did you mean all_reduce'
    ):
        hpctrain.distribute(make_model(), optimizer, "allreduce", group=group)
    with pytest.raises(hpctrain.MeshError, match=rf"but the world has {group.size}"):
        hpctrain.distribute(make_model(), optimizer, group=group, data=group.size + 1)


def step_serially(model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        loss_of(model, *global_batch(step)).backward()
        optimizer.step()


@pytest.mark.parametrize(
    "strategy", [STRATEGIES["node_shared"], STRATEGIES["replicated"]], ids=["shared", "replicated"]
)
@pytest.mark.parametrize("optimizer_name", list(OPTIMIZERS))
@pytest.mark.parametrize("read_gradients", [True, False])
def test_the_optimizers_state_is_whole_on_every_rank_and_can_be_loaded(
    nodes: Group, strategy: dict[str, str], optimizer_name: str, read_gradients: bool
) -> None:
    """state_dict() is what a serial run's is, without all ranks calling it, and a loaded one is what goes on."""
    serial = make_model()
    serial_optimizer = OPTIMIZERS[optimizer_name](serial.parameters())
    model = make_model()
    optimizer = OPTIMIZERS[optimizer_name](model.parameters())
    hpctrain.distribute(model, optimizer, group=nodes, read_gradients=read_gradients, **strategy)

    def check_state() -> None:
        expected, found = serial_optimizer.state_dict(), optimizer.state_dict()
        assert found["param_groups"] == expected["param_groups"]
        torch.testing.assert_close(found["state"], expected["state"], rtol=1e-10, atol=1e-14)

    for start in (0, 2):
        step_serially(serial, serial_optimizer, range(start, start + 2))
        step_serially(model, optimizer, range(start, start + 2))
        if nodes.rank == nodes.size - 1:  # one rank alone may look
            check_state()
    nodes.barrier()
    saved = [copy.deepcopy(one.state_dict()) for one in (model, optimizer, serial, serial_optimizer)]
    step_serially(model, optimizer, range(7, 9))
    nodes.barrier()
    for one, state in zip((model, optimizer, serial, serial_optimizer), saved, strict=True):
        one.load_state_dict(state)
    step_serially(serial, serial_optimizer, range(4, 6))
    step_serially(model, optimizer, range(4, 6))
    check_state()
    check_equal(nodes, model, [parameter.detach() for parameter in serial.parameters()])


def test_state_that_was_loaded_on_some_ranks_only_is_refused(group: Group) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    hpctrain.distribute(model, optimizer, group=group)
    step_serially(model, optimizer, range(1))
    state = copy.deepcopy(optimizer.state_dict())
    if group.rank == 0:
        state["state"].pop(0)
        optimizer.load_state_dict(state)
    if group.size == 1:
        step_serially(model, optimizer, range(1))
        return
    with pytest.raises(hpctrain.CommunicationError, match="changed on some ranks only"):
        step_serially(model, optimizer, range(1))


def test_more_passes_than_were_announced_are_refused(nodes: Group) -> None:
    """Gradients have left by then; to add to them would give something else on every rank."""
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    hpctrain.distribute(model, optimizer, group=nodes, read_gradients=False)
    loss_of(model, *global_batch(0)).backward()
    with pytest.raises(hpctrain.ModelError, match=r"pass 2 since the last step\(\).* accumulate_batches=\.\.\."):
        loss_of(model, *global_batch(0)).backward()
    optimizer.step()
    nodes.barrier()


def test_a_step_without_a_backward_pass_changes_nothing_where_gradients_are_used_up(nodes: Group) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    hpctrain.distribute(model, optimizer, group=nodes, read_gradients=False)
    loss_of(model, *global_batch(0)).backward()
    optimizer.step()
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    nodes.barrier()
    optimizer.step()
    check_equal(nodes, model, weights)


def test_a_dropped_step_leaves_no_trace(nodes: Group) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    plan = Plan.build(nodes, model, optimizer, bucket_bytes=200)
    distribution = Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=pytest.fail)
    for step in range(6):
        optimizer.zero_grad()
        if step % 2 and (nodes.size == 1 or nodes.rank):  # rank 0 has an empty batch in the steps that are dropped
            (loss_of(model, *global_batch(step)) * float("nan")).backward()
        if step % 2:
            distribution.drop_step()
        else:
            loss_of(model, *global_batch(step // 2)).backward()
            optimizer.step()
    check_equal(nodes, model, serial_weights("adam", 3))


def test_models_that_are_made_again_and_again_leave_nothing_behind(nodes: Group) -> None:
    def make() -> None:
        model = make_model()
        optimizer = OPTIMIZERS["adam"](model.parameters())
        hpctrain.distribute(model, optimizer, group=nodes)
        step_serially(model, optimizer, range(2))

    def held() -> tuple[int, int, int]:
        gc.collect()
        mappings = Path("/proc/self/maps").read_text().count("hpctrain-")
        return len(os.listdir("/proc/self/fd")), mappings, threading.active_count()

    make()
    before = held()
    for _ in range(10):
        make()
    assert held() == before
