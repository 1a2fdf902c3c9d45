"""Sharded state: k steps on any number of ranks equal k steps of one, whoever keeps what."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from several_nodes import SeveralNodes
from small_job import SAMPLES, global_batch, loss_of

import hpctrain
from hpctrain import Group
from hpctrain.job.load import load_parallel
from hpctrain.job.settings import Model
from hpctrain.job.settings import Optimizer as OptimizerSettings
from hpctrain.layout.blocks import block
from hpctrain.models.build import build_nn, build_torch
from hpctrain.models.torch_recompute import recompute_activations
from hpctrain.nn.loss import cross_entropy
from hpctrain.optim.build import build_optimizer
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.gradient_sync.in_passing import GradientsInPassing
from hpctrain.parallel.partition import Shards
from hpctrain.parallel.plan import Plan

pytestmark = pytest.mark.many_cases

SHARDS = ["optimizer", "gradients", "parameters"]
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=1e-2),
}

each_shard = pytest.mark.parametrize("shard", SHARDS)


@pytest.fixture(params=[1, 2, 4], ids=["one node", "two nodes", "four nodes"])
def nodes(group: Group, request: pytest.FixtureRequest) -> Iterator[Group]:
    """On one node ranks share memory; on several they send messages."""
    placed = Group(SeveralNodes(group.comm, request.param))
    yield placed
    placed.close()


@pytest.fixture
def apart(group: Group) -> Iterator[Group]:
    """Each rank on a node of its own."""
    placed = Group(SeveralNodes(group.comm, group.size))
    yield placed
    placed.close()


def make_model(seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    """1,399 weights: no world size of the tests but 1 divides them."""
    torch.manual_seed(seed)
    layers = torch.nn.Linear(5, 31), torch.nn.Tanh(), torch.nn.Linear(31, 34), torch.nn.Tanh(), torch.nn.Linear(34, 3)
    return torch.nn.Sequential(*layers).to(dtype)


def train(group: Group, model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    """Each rank computes its block, if `model` is distributed over the group."""
    mine = block(SAMPLES, group.size, group.rank)
    for step in steps:
        inputs, targets = global_batch(step)
        optimizer.zero_grad()
        loss_of(model, inputs[mine], targets[mine]).backward()
        optimizer.step()


def serial(optimizer_name: str, steps: int, clip: float = 0.0) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """The oracle: the whole batch in one process, no communication."""
    model = make_model()
    optimizer = OPTIMIZERS[optimizer_name](model.parameters())
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(model, *global_batch(step)).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return model, optimizer


def check_equal(
    distribution: Distribution, model: torch.nn.Module, expected: torch.nn.Module, rtol: float = 1e-11
) -> None:
    with distribution.consensus():
        for parameter, other in zip(model.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(parameter.detach(), other.detach(), rtol=rtol, atol=rtol / 10)
        weights = b"".join(parameter.detach().numpy().tobytes() for parameter in model.parameters())
    assert len(set(distribution.plan.group.comm.gather_objects(weights))) == 1


def distribute(
    group: Group,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    shard: str,
    *,
    clip_norm: float = 0.0,
    tell: Callable[[str], None] = pytest.fail,
    **settings: Any,
) -> Distribution:
    plan = Plan.build(group, model, optimizer, load_parallel({"strategy": "all_reduce", "shard": shard}), **settings)
    return Distribution(plan, model, optimizer, read_gradients=False, clip_norm=clip_norm, tell=tell)


def distributed(
    group: Group, optimizer_name: str, shard: str, **settings: Any
) -> tuple[torch.nn.Module, torch.optim.Optimizer, Distribution]:
    model = make_model(seed=group.rank)  # only rank 0 has the right weights to start from
    optimizer = OPTIMIZERS[optimizer_name](model.parameters())
    return model, optimizer, distribute(group, model, optimizer, shard, **settings)


@each_shard
@pytest.mark.parametrize("optimizer_name", list(OPTIMIZERS))
@pytest.mark.parametrize("bucket_bytes", [1, 2000, 10**6])
def test_steps_equal_serial_steps(nodes: Group, shard: str, optimizer_name: str, bucket_bytes: int) -> None:
    model, optimizer, distribution = distributed(nodes, optimizer_name, shard, bucket_bytes=bucket_bytes)
    train(nodes, model, optimizer, range(5))
    check_equal(distribution, model, serial(optimizer_name, 5)[0])


@each_shard
def test_clipping_is_that_of_the_whole_gradient(nodes: Group, shard: str) -> None:
    model, optimizer, distribution = distributed(nodes, "sgd", shard, clip_norm=0.1, bucket_bytes=1000)
    train(nodes, model, optimizer, range(3))
    check_equal(distribution, model, serial("sgd", 3, clip=0.1)[0], rtol=1e-5)  # torch adds 1e-6 to the norm


@each_shard
def test_gradients_accumulate(nodes: Group, shard: str) -> None:
    model, optimizer, distribution = distributed(nodes, "adam", shard, accumulate_batches=2, bucket_bytes=1000)
    mine = block(SAMPLES, nodes.size, nodes.rank)
    for step in range(3):
        inputs, targets = (part[mine] for part in global_batch(step))
        for half in (slice(0, len(inputs) // 2), slice(len(inputs) // 2, None)):
            share = len(inputs[half]) / len(inputs)
            (loss_of(model, inputs[half], targets[half]) * share).backward()
        optimizer.step()
    check_equal(distribution, model, serial("adam", 3)[0])


@each_shard
def test_ranks_without_samples_take_part(nodes: Group, shard: str) -> None:
    """The last rank has all of them. The others make no pass, though two are a step, or one that comes to nothing."""
    model, optimizer, distribution = distributed(nodes, "adam", shard, accumulate_batches=2, bucket_bytes=1000)
    for step in range(3):
        if nodes.rank == nodes.size - 1:
            inputs, targets = global_batch(step)
            (loss_of(model, inputs, targets) * nodes.size).backward()
        elif distribution.plan.weight_sync.passes_are_collective:
            (loss_of(model, *global_batch(0)) * 0).backward()
        optimizer.step()
    check_equal(distribution, model, serial("adam", 3)[0])


class Branches(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branches = torch.nn.ModuleList(torch.nn.Linear(5, 3) for _ in range(4))

    def forward(self, inputs: torch.Tensor, used: list[int]) -> torch.Tensor:
        return sum(self.branches[number](inputs) for number in used)


@each_shard
@pytest.mark.parametrize("bucket_bytes", [1, 10**6])
def test_parameters_without_gradient_and_frozen_ones_stay_as_they_are(
    nodes: Group, shard: str, bucket_bytes: int
) -> None:
    """Branch 0 is used by rank 0 alone where ranks may differ, 1 by all, 2 by none, and 3 is frozen."""
    torch.manual_seed(0)
    model = Branches().double()
    model.branches[3].requires_grad_(False)
    expected = copy.deepcopy(model)
    inputs, targets = global_batch(0)

    def loss(of: torch.nn.Module, rank: int) -> torch.Tensor:
        used = [0, 1, 3] if rank == 0 and shard != "parameters" else [1, 3]
        return torch.nn.functional.cross_entropy(of(inputs, used), targets)

    optimizers = [
        torch.optim.Adam([p for p in one.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
        for one in (model, expected)
    ]
    told: list[str] = []
    distribution = distribute(nodes, model, optimizers[0], shard, bucket_bytes=bucket_bytes, tell=told.append)
    for _ in range(3):
        optimizers[0].zero_grad()
        loss(model, nodes.rank).backward()
        optimizers[0].step()
    for _ in range(3):
        optimizers[1].zero_grad()
        (sum(loss(expected, rank) for rank in range(nodes.size)) / nodes.size).backward()
        optimizers[1].step()
    check_equal(distribution, model, expected)
    assert any("branches.2.weight" in text and "on any rank" in text for text in told) == (nodes.rank == 0)


@pytest.mark.min_ranks(2)
def test_state_is_kept_by_its_owner_alone(apart: Group) -> None:
    model, optimizer, _ = distributed(apart, "adam", "optimizer", bucket_bytes=1000)
    train(apart, model, optimizer, range(2))
    assert not optimizer.state
    num_weights = sum(parameter.numel() for parameter in model.parameters())
    kept = _elements_during_step(model, optimizer)
    assert sum(apart.comm.gather_objects(kept)) == 2 * num_weights
    assert kept <= 2 * (num_weights // apart.size + 7)  # a block of each bucket, rounded up


@pytest.mark.parametrize("shard", ["optimizer", "gradients"])
def test_a_node_has_one_copy_of_the_weights_and_gets_the_rest_once(nodes: Group, shard: str) -> None:
    """Where ranks of several nodes share memory: each owner sends its block to the owners of its slice elsewhere."""
    model, optimizer, distribution = distributed(nodes, "sgd", shard, bucket_bytes=10**6)
    train(nodes, model, optimizer, range(1))
    (bucket,) = distribution._trainable.buckets
    nodes.barrier()
    traffic = distribution.plan.group.traffic
    before = traffic.bytes_sent
    distribution.plan.weight_sync.after_step([bucket])
    sent = sum(nodes.comm.gather_objects(traffic.bytes_sent - before))
    assert sent == (nodes.num_nodes - 1) * bucket.weights.numel() * bucket.weights.itemsize
    weight = model[0].weight
    nodes.barrier()
    if nodes.local_rank == 0:
        with torch.no_grad():
            weight[0, 0] = 100.0 + nodes.node
    nodes.barrier()
    assert float(weight[0, 0].detach()) == 100.0 + nodes.node


def _elements_during_step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Of the optimizer's state, as it is while it steps."""
    seen = []

    def look(*_: Any) -> None:
        seen.append(sum(t.numel() for its in optimizer.state.values() for name, t in its.items() if name != "step"))

    handle = optimizer.register_step_post_hook(look)
    optimizer._optimizer_step_post_hooks.move_to_end(handle.id, last=False)
    loss_of(model, *global_batch(0)).backward()
    optimizer.step()
    return seen[0]


@each_shard
@pytest.mark.parametrize("optimizer_name", list(OPTIMIZERS))
def test_state_dict_is_whole_on_rank_0_and_goes_on_in_any_other_way(
    nodes: Group, shard: str, optimizer_name: str
) -> None:
    model, optimizer, distribution = distributed(nodes, optimizer_name, shard, bucket_bytes=1000)
    train(nodes, model, optimizer, range(3))
    expected, expected_optimizer = serial(optimizer_name, 3)
    state = copy.deepcopy(optimizer.state_dict())
    if nodes.rank == 0:
        torch.testing.assert_close(state["state"], expected_optimizer.state_dict()["state"], rtol=1e-10, atol=1e-14)
    train(nodes, model, optimizer, range(3, 5))
    check_equal(distribution, model, serial(optimizer_name, 5)[0])

    whole = nodes.comm.gather_objects(state)[0]
    model, optimizer, distribution = distributed(nodes, optimizer_name, shard, bucket_bytes=300)
    nodes.barrier()
    with distribution.loading():
        model.load_state_dict(expected.state_dict())
        optimizer.load_state_dict(whole)
    train(nodes, model, optimizer, range(3, 5))
    check_equal(distribution, model, serial(optimizer_name, 5)[0])


def test_gradients_that_are_sharded_cannot_be_read(nodes: Group) -> None:
    model = make_model()
    with pytest.raises(hpctrain.SettingsError, match="read_gradients=False"):
        hpctrain.distribute(model, OPTIMIZERS["sgd"](model.parameters()), group=nodes, shard="gradients")


@pytest.mark.min_ranks(2)
def test_weights_that_are_not_here_cannot_be_read(apart: Group) -> None:
    """What needs no numbers may be asked of them, and inside `consensus` they are there."""
    model = make_model()
    expected = copy.deepcopy(model)
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    hpctrain.distribute(model, optimizer, group=apart, shard="parameters", read_gradients=False)
    refused = pytest.raises(hpctrain.ModelError, match=r'the weights "0\.weight" are not here.* hpctrain\.consensus')
    weight = model[0].weight
    reads = [
        lambda: weight.sum(),
        lambda: weight.data,
        lambda: weight[0, 0] + 1,
        lambda: torch.stack([weight, weight]),
        lambda: weight.numpy(force=True),
        lambda: torch.nn.init.zeros_(weight),
        lambda: copy.deepcopy(model),
        lambda: repr(weight),
        model.float,
        model.state_dict,
    ]
    for step in range(2):
        for read in reads:
            with refused:
                read()
        with pytest.raises(RuntimeError, match=r'"0\.weight" are not here.* load them before hpctrain\.distribute'):
            model.load_state_dict(expected.state_dict())
        assert (weight.shape, weight.numel(), len(weight), weight.dtype) == ((31, 5), 155, 31, torch.float64)
        assert isinstance(weight, torch.nn.Parameter)
        assert weight.requires_grad
        with hpctrain.consensus(model):
            state = model.state_dict()
            assert all(type(parameter) is torch.nn.Parameter for parameter in model.parameters())
        if step == 0:
            torch.testing.assert_close(state, expected.state_dict(), rtol=0, atol=0)
            train(apart, model, optimizer, range(3))
    torch.testing.assert_close(state, serial("sgd", 3)[0].state_dict(), rtol=1e-11, atol=1e-12)


def test_an_optimizer_that_looks_at_whole_matrices_is_refused(group: Group) -> None:
    model = make_model()
    optimizer = torch.optim.LBFGS(model.parameters())
    with pytest.raises(hpctrain.SettingsError, match="shard=optimizer: the optimizer LBFGS is not known"):
        hpctrain.distribute(model, optimizer, group=group, shard="optimizer")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wires_leave_in_one_order_whatever_order_they_are_filled_in(apart: Group, dtype: type) -> None:
    """Ten wires, of which each rank fills some, beginning elsewhere; two passes in a step."""
    num_wires, length = 10, 37
    sync = GradientsInPassing(apart, Shards(apart.rank, apart.size))
    own = [sync.allocate(np.empty(0, dtype), length) for _ in range(num_wires)]
    cut = block(length, apart.size, apart.rank)
    for step in range(3):
        total = np.zeros((num_wires, length))
        for turn in range(2):
            for rank in range(apart.size):
                for offset in range(num_wires - 1):
                    number = (3 * rank + offset) % num_wires
                    values = np.arange(length) + 100 * number + 7 * rank + turn + step
                    total[number] += values
                    if rank == apart.rank:
                        sync.open(number, np.empty(0, dtype))[...] = values
                        sync.start(number)
            sync.end_round()
        notes = np.ones(1)
        sync.finish(notes)
        assert notes == [apart.size]
        for number in range(num_wires):
            np.testing.assert_allclose(own[number], total[number, cut] / apart.size, rtol=1e-6)


def nn_weights(group: Group | None, shard: str, optimizer_name: str, **settings: Any) -> dict[str, np.ndarray]:
    """After three steps of a model of hpctrain.nn, with a checkpoint taken and loaded after two."""
    kind = Model(kind="cnn", engine="numpy", channels=[3], hidden=[7])
    model = build_nn(kind, np, input_shape=(1, 4, 4), num_outputs=3, seed=group.rank if group else 0, dtype="float64")
    optimizer = build_optimizer(OptimizerSettings(name=optimizer_name, lr=0.05), model.named_parameters())
    distribution = distribute(group, model, optimizer, shard, **settings) if group else None
    mine = block(SAMPLES, group.size, group.rank) if group else slice(None)
    for step in range(3):
        random = np.random.default_rng(step)
        inputs, targets = random.normal(size=(SAMPLES, 1, 4, 4)), random.integers(0, 3, SAMPLES)
        optimizer.zero_grad()
        _, gradient, _ = cross_entropy(np, model.forward(inputs[mine]), targets[mine])
        model.backward(gradient * ((group.size if group else 1) / SAMPLES))
        optimizer.step()
        if step == 1 and group and distribution:
            with distribution.whole():
                saved = {name: np.array(array) for name, array in optimizer.state_dict().items()}
            saved = group.comm.gather_objects(saved)[0]
            with distribution.loading():
                optimizer.load_state_dict({**saved, "step": int(saved["step"])})
    return {name: parameter.value.copy() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("shard", ["optimizer", "gradients"])
@pytest.mark.parametrize("optimizer_name", ["sgd", "momentum", "adam", "adagrad"])
@pytest.mark.parametrize("bucket_bytes", [1, 700, 10**6])
def test_models_of_our_own_layers(nodes: Group, shard: str, optimizer_name: str, bucket_bytes: int) -> None:
    found = nn_weights(nodes, shard, optimizer_name, bucket_bytes=bucket_bytes)
    for name, expected in nn_weights(None, shard, optimizer_name).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-11, atol=1e-12)


def mixed(group: Group, shard: str, precision: str, **settings: Any) -> tuple[torch.nn.Module, Distribution]:
    """A model of float32, distributed to compute in 16 bits, after three steps."""
    model = make_model(seed=group.rank, dtype=torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    distribution = distribute(group, model, optimizer, shard, precision=precision, **settings)
    mixed_steps(group, model, optimizer, distribution, range(3))
    return model, distribution


def weights_of(model: torch.nn.Module, distribution: Distribution) -> list[torch.Tensor]:
    """As the model computes with them. All ranks."""
    with distribution.consensus():
        return [parameter.detach().clone() for parameter in model.parameters()]


def mixed_steps(
    group: Group, model: torch.nn.Module, optimizer: torch.optim.Optimizer, distribution: Distribution, steps: range
) -> None:
    mine = block(SAMPLES, group.size, group.rank)
    kind = next(model.parameters()).dtype
    for step in steps:
        inputs, targets = global_batch(step, torch.float32)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs[mine].to(kind)).float(), targets[mine])
        (loss * distribution.plan.precision.loss_scale).backward()
        optimizer.step()


@pytest.mark.parametrize("shard", ["none", *SHARDS])
@pytest.mark.parametrize("precision", ["bf16_mixed", "fp16_mixed"])
def test_mixed_precision_updates_weights_of_32_bits(nodes: Group, shard: str, precision: str) -> None:
    model, distribution = mixed(nodes, shard, precision, bucket_bytes=500)
    dtype = torch.bfloat16 if precision == "bf16_mixed" else torch.float16
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    computing = weights_of(model, distribution)
    expected = make_model(dtype=torch.float32)
    optimizer = torch.optim.Adam(expected.parameters(), lr=1e-2)
    for step in range(3):
        optimizer.zero_grad()
        loss_of(expected, *global_batch(step, torch.float32)).backward()
        optimizer.step()
    with distribution.whole():
        masters = [parameter.detach().clone() for parameter in model.parameters()] if nodes.rank == 0 else []
    if nodes.rank == 0:
        assert {master.dtype for master in masters} == {torch.float32}
        for master, rounded, full in zip(masters, computing, expected.parameters(), strict=True):
            assert torch.equal(master.to(dtype), rounded)
            assert (master - full.detach()).abs().mean() < 1e-3  # Adam's steps are 1e-2, some in doubt of their sign
            assert not torch.equal(master, rounded.float())
    bits = b"".join(weights.view(torch.int16).numpy().tobytes() for weights in computing)
    assert len(set(nodes.comm.gather_objects(bits))) == 1
    assert all(torch.equal(now, then) for now, then in zip(weights_of(model, distribution), computing, strict=True))


@pytest.mark.parametrize("shard", ["none", *SHARDS])
def test_masters_and_state_are_loaded_as_they_were_saved(nodes: Group, shard: str) -> None:
    model, distribution = mixed(nodes, shard, "bf16_mixed")
    optimizer = distribution._trainable._step._optimizer
    with distribution.whole():
        parameters = list(model.parameters()) if nodes.rank == 0 else []
        weights = [parameter.detach().clone() for parameter in parameters]
        state = [copy.deepcopy(optimizer.state.get(parameter, {})) for parameter in parameters]
    weights, state = nodes.comm.gather_objects((weights, state))[0]
    mixed_steps(nodes, model, optimizer, distribution, range(3, 5))
    expected = weights_of(model, distribution)
    with distribution.loading(), torch.no_grad():
        for parameter, values, its in zip(model.parameters(), weights, state, strict=True):
            parameter.copy_(values)
            optimizer.state[parameter].update(its)
    mixed_steps(nodes, model, optimizer, distribution, range(3, 5))
    assert all(torch.equal(now, then) for now, then in zip(weights_of(model, distribution), expected, strict=True))


@pytest.mark.parametrize("shard", ["none", *SHARDS])
def test_an_overflow_on_one_rank_skips_the_step_on_all_and_halves_the_scale(nodes: Group, shard: str) -> None:
    model, distribution = mixed(nodes, shard, "fp16_mixed")
    optimizer = distribution._trainable._step._optimizer
    precision = distribution.plan.precision
    scale = precision.loss_scale
    before = weights_of(model, distribution)
    inputs, targets = global_batch(0, torch.float32)
    loss = torch.nn.functional.cross_entropy(model(inputs.half()).float(), targets)
    (loss * (float("inf") if nodes.rank == nodes.size - 1 else scale)).backward()
    optimizer.step()
    assert all(torch.equal(now, then) for now, then in zip(weights_of(model, distribution), before, strict=True))
    assert precision.loss_scale == scale / 2
    assert precision.report()["steps_skipped_by_overflow"] == 1
    mixed_steps(nodes, model, optimizer, distribution, range(1))
    after = weights_of(model, distribution)
    assert not any(torch.equal(now, then) for now, then in zip(after, before, strict=True))
    assert all(weights.isfinite().all() for weights in after)


def test_layers_with_running_statistics_keep_32_bits(nodes: Group) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hpctrain.distribute(model, optimizer, group=nodes, precision="bf16_mixed", read_gradients=False, shard="gradients")
    inputs, targets = global_batch(nodes.rank, torch.float32)
    torch.nn.functional.cross_entropy(model(inputs.bfloat16()).float(), targets).backward()
    optimizer.step()
    assert [p.dtype for p in model.parameters()] == [torch.bfloat16] * 2 + [torch.float32] * 2 + [torch.bfloat16] * 2
    assert model[1].running_mean.dtype == torch.float32
    assert float(model[1].running_mean.abs().sum()) > 0


def transformer_weights(group: Group, shard: str, recompute: bool) -> list[torch.Tensor]:
    """Of a small GPT after three steps."""
    settings = Model(kind="transformer", layers=2, width=12, heads=2)
    model = build_torch(settings, input_shape=(6,), num_outputs=9, seed=0, dtype="float64")
    if recompute:
        recompute_activations(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    distribution = distribute(group, model, optimizer, shard, bucket_bytes=2000)
    mine = block(SAMPLES, group.size, group.rank)
    for step in range(3):
        random = np.random.default_rng(step)
        tokens, targets = (torch.from_numpy(random.integers(0, 9, (SAMPLES, 6)))[mine] for _ in range(2))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten()).backward()
        optimizer.step()
    return weights_of(model, distribution)


@pytest.mark.parametrize("shard", ["gradients", "parameters"])
@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
def test_a_transformer_whose_blocks_are_computed_again(nodes: Group, shard: str, recompute: bool) -> None:
    """In backward its weights are needed once more."""
    expected = transformer_weights(nodes, "none", recompute=False)
    for found, wanted in zip(transformer_weights(nodes, shard, recompute), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
