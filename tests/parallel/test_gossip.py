"""Gossip against a serial oracle: all ranks' replicas in one process, mixed by the whole matrix."""

from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_job import SAMPLES, global_batch, make_model

import hpctrain
from hpctrain import Group
from hpctrain.compress.build import build_compressor
from hpctrain.errors import CheckpointError
from hpctrain.job.settings import Parallel
from hpctrain.layout.blocks import block
from hpctrain.layout.graphs import PERIODIC
from hpctrain.layout.mixing import Mixing
from hpctrain.nn.linear import Linear
from hpctrain.nn.loss import cross_entropy
from hpctrain.nn.sequential import Sequential
from hpctrain.optim.adam import Adam
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan

pytestmark = pytest.mark.many_cases

SEED = 3
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
    "still": lambda parameters: torch.optim.SGD(parameters, lr=0.0),
}


def gradients_of(model: torch.nn.Module, size: int, rank: int, step: int) -> None:
    inputs, targets = global_batch(step)
    mine = block(SAMPLES, size, rank)
    model.zero_grad()
    torch.nn.functional.cross_entropy(model(inputs[mine]), targets[mine]).backward()


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


def views(model: torch.nn.Module, vector: torch.Tensor) -> list[torch.Tensor]:
    """The part of each parameter."""
    parameters = list(model.parameters())
    parts = vector.split([parameter.numel() for parameter in parameters])
    return [part.view(parameter.shape) for part, parameter in zip(parts, parameters, strict=True)]


@torch.no_grad()
def put(model: torch.nn.Module, weights: torch.Tensor) -> None:
    for parameter, part in zip(model.parameters(), views(model, weights), strict=True):
        parameter.copy_(part)


class World:
    """The oracle: `size` replicas, as the rows of a matrix."""

    def __init__(self, size: int, optimizer: str = "sgd") -> None:
        self.models = [make_model() for _ in range(size)]
        self.optimizers = [OPTIMIZERS[optimizer](model.parameters()) for model in self.models]

    def gradients(self, step: int) -> torch.Tensor:
        for rank, model in enumerate(self.models):
            gradients_of(model, len(self.models), rank, step)
        return torch.stack([torch.cat([p.grad.reshape(-1) for p in model.parameters()]) for model in self.models])

    def step(self, gradients: torch.Tensor) -> None:
        for model, optimizer, gradient in zip(self.models, self.optimizers, gradients, strict=True):
            for parameter, part in zip(model.parameters(), views(model, gradient), strict=True):
                parameter.grad = part.clone()
            optimizer.step()

    @property
    def replicas(self) -> torch.Tensor:
        return torch.stack([flat(model) for model in self.models])

    def put(self, replicas: torch.Tensor) -> None:
        for model, weights in zip(self.models, replicas, strict=True):
            put(model, weights)


class Run:
    """This rank of the real thing."""

    def __init__(self, group: Group, optimizer: str = "sgd", *, bucket_bytes: int = 700, **settings: object) -> None:
        self.group = group
        self.model = make_model(seed=group.rank)  # only rank 0 has the right weights to start from
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        parallel = Parallel(strategy="gossip", **settings)
        plan = Plan.build(group, self.model, self.optimizer, parallel, bucket_bytes=bucket_bytes, seed=SEED)
        self.distribution = Distribution(
            plan, self.model, self.optimizer, read_gradients=False, clip_norm=0.0, tell=lambda _: None
        )

    def steps(self, *steps: int) -> Run:
        for step in steps:
            gradients_of(self.model, self.group.size, self.group.rank, step)
            self.optimizer.step()
        return self

    @property
    def weights(self) -> torch.Tensor:
        return flat(self.model)

    def report(self) -> dict:
        return self.distribution.plan.weight_sync.report()["mixing"]

    def distance(self) -> float:
        with self.distribution.consensus():
            pass
        return self.distribution.plan.weight_sync.metrics()["consensus_distance"]


def topologies(size: int) -> list[str]:
    return [name for name in (*PERIODIC, "random_matching") if name != "hypercube" or not size & (size - 1)]


def matrices(topology: str, size: int) -> Iterator[torch.Tensor]:
    """W of each round."""
    mixing = Mixing.of(topology, size, SEED)
    return (torch.from_numpy(mixing.matrix(round)) for round in range(100))


def check(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def everybody(group: Group, weights: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.from_numpy(its) for its in group.comm.gather_objects(weights.numpy())])


@pytest.mark.parametrize(("optimizer", "bucket_bytes"), [("sgd", 1), ("momentum", 700), ("adam", 10**6)])
def test_each_rank_steps_and_then_mixes(group: Group, optimizer: str, bucket_bytes: int) -> None:
    for topology in topologies(group.size):
        run = Run(group, optimizer, topology=topology, bucket_bytes=bucket_bytes).steps(*range(6))
        world = World(group.size, optimizer)
        for step, matrix in zip(range(6), matrices(topology, group.size), strict=False):
            world.step(world.gradients(step))
            world.put(matrix @ world.replicas)
        check(run.weights, world.replicas[group.rank])


@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_full_is_averaging(group: Group, optimizer: str) -> None:
    """For optimizers that are linear in gradients."""
    run = Run(group, optimizer, topology="full").steps(*range(8))
    serial = World(1, optimizer)
    for step in range(8):
        serial.step(serial.gradients(step))
    torch.testing.assert_close(run.weights, serial.replicas[0], rtol=1e-6, atol=1e-9)


def test_weights_that_travel_while_the_next_step_is_made(group: Group) -> None:
    for topology in topologies(group.size):
        run = Run(group, "adam", topology=topology, overlap=True).steps(*range(7))
        world = World(group.size, "adam")
        difference = torch.zeros(())
        for step, matrix in zip(range(7), matrices(topology, group.size), strict=False):
            world.step(world.gradients(step))
            world.put(world.replicas + difference)
            difference = matrix @ world.replicas - world.replicas
        check(run.weights, world.replicas[group.rank])
        with run.distribution.consensus():
            check(run.weights, world.replicas.mean(0))


def test_gradient_tracking(group: Group) -> None:
    for topology in topologies(group.size):
        run = Run(group, "momentum", topology=topology, gossip="gradient_tracking").steps(*range(6))
        world = World(group.size, "momentum")
        estimates, last = torch.zeros(()), torch.zeros(())
        for step, matrix in zip(range(6), matrices(topology, group.size), strict=False):
            gradients = world.gradients(step)
            estimates = (matrix @ estimates if step else 0) + gradients - last
            last = gradients
            torch.testing.assert_close(estimates.mean(0), gradients.mean(0))  # whatever W is
            world.step(estimates)
            world.put(matrix @ world.replicas)
        check(run.weights, world.replicas[group.rank])


def test_a_dropped_step_leaves_no_trace_in_tracked_gradients(group: Group) -> None:
    run, other = (Run(group, gossip="gradient_tracking").steps(0, 1) for _ in range(2))
    gradients_of(run.model, group.size, group.rank, 2)
    for parameter in run.model.parameters():
        parameter.grad *= np.nan
    run.distribution.drop_step()
    assert torch.equal(run.steps(3).weights, other.steps(3).weights)


def directed(size: int) -> np.ndarray:
    """Columns sum to 1, and rows do not: all send half to rank 0 and half onwards."""
    matrix = np.zeros((size, size))
    for rank in range(size):
        matrix[0, rank] += 0.5
        matrix[(rank + 1) % size, rank] += 0.5
    return matrix


def written(group: Group, path: Path, matrix: np.ndarray) -> str:
    """A file with the same content for each rank."""
    np.savetxt(path / "weights.txt", matrix, fmt="%.17g")
    return str(path / "weights.txt")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_push_sum_on_a_directed_graph(group: Group, tmp_path: Path, optimizer: str) -> None:
    matrix = directed(group.size)
    file = written(group, tmp_path, matrix)
    run = Run(group, optimizer, gossip="push_sum", mixing_matrix=file).steps(*range(6))
    world, mixed = World(group.size, optimizer), torch.from_numpy(matrix)
    numerators, weights = world.replicas, torch.ones(group.size, 1, dtype=torch.float64)
    for step in range(6):
        before = world.replicas
        world.step(world.gradients(step))
        numerators = mixed @ (numerators + world.replicas - before)
        weights = mixed @ weights
        world.put(numerators / weights)
    check(run.weights, world.replicas[group.rank])
    with run.distribution.consensus():
        check(run.weights, numerators.mean(0))


def test_push_sum_comes_to_the_mean_where_plain_mixing_would_not(group: Group, tmp_path: Path) -> None:
    matrix = directed(group.size)
    file = written(group, tmp_path, matrix)
    run = Run(group, "sgd", gossip="push_sum", mixing_matrix=file).steps(0)
    apart = everybody(group, run.weights)
    with run.distribution.consensus():
        target = run.weights.clone()
    for parameters in run.optimizer.param_groups:
        parameters["lr"] = 0.0
    run.steps(*range(60))
    check(run.weights, target)
    if group.size > 2:
        limit = torch.from_numpy(np.linalg.matrix_power(matrix, 60)) @ apart
        assert not torch.allclose(limit[group.rank], target)


@pytest.mark.parametrize("compression", ["fp16", "int8", "sign", "top_k", "random_k", "powersgd"])
def test_compressed_gossip(group: Group, compression: str) -> None:
    """Told changes are added up by the compressor of each rank, once for all: all copies of them are the same."""
    rates = {"sign": 0.4, "top_k": 0.1, "random_k": 0.05, "powersgd": 1 / 5}  # the shorter sides are 5 and 3
    settings = {"compression": compression, "compression_ratio": 0.1, "compression_rank": 1}
    run = Run(group, topology="ring", bucket_bytes=10**6, **settings).steps(*range(6))
    world = World(group.size)
    matrix = next(matrices("ring", group.size))
    (bucket,) = run.distribution._trainable.buckets
    kept = run.weights.clone()
    put(run.model, torch.arange(float(len(kept))))
    order = bucket.weights.long()  # of the weights in the bucket
    put(run.model, kept)
    compressors = [
        build_compressor(compression, dtype=np.dtype("float64"), ratio=0.1, rank=1, seed=SEED, parameters=bucket.places)
        for _ in range(group.size)
    ]
    told = world.replicas[:, order].numpy().copy()
    for step in range(6):
        world.step(world.gradients(step))
        replicas = world.replicas
        for mine, compressor, copy_of_mine in zip(replicas[:, order].numpy(), compressors, told, strict=True):
            compressor.add(compressor.encode(mine - copy_of_mine), copy_of_mine)
        replicas[:, order] += rates.get(compression, 1.0) * (matrix @ torch.from_numpy(told) - torch.from_numpy(told))
        world.put(replicas)
    check(run.weights, world.replicas[group.rank])


@pytest.mark.parametrize("settings", [{}, {"overlap": True}, {"compression": "sign"}], ids=["plain", "overlap", "sign"])
def test_mixing_keeps_the_mean(group: Group, settings: dict) -> None:
    for topology in topologies(group.size):
        if "compression" in settings and topology in ("one_peer_exponential", "random_matching"):
            continue
        run = Run(group, "still", topology=topology, **settings)
        put(run.model, flat(make_model(seed=10 + group.rank)))
        mean = everybody(group, run.weights).mean(0)
        run.steps(*range(5))
        check(everybody(group, run.weights).mean(0), mean)


def test_ranks_come_to_agree_as_fast_as_the_second_eigenvalue_says(group: Group) -> None:
    for topology in topologies(group.size):
        if topology in ("random_matching", "one_peer_exponential"):
            continue
        run = Run(group, "still", topology=topology)
        put(run.model, flat(make_model(seed=10 + group.rank)))
        run.steps(*range(8))
        before = run.distance()
        run.steps(*range(4))
        second = run.report()["second_eigenvalue"]
        if second > 1e-6:
            assert (run.distance() / before) ** (1 / 4) == pytest.approx(second, rel=0.05), topology
        else:
            assert before < 1e-12, topology
        assert run.report() == {"topology": topology, "second_eigenvalue": pytest.approx(second)}


def test_consensus_is_the_mean_and_says_how_far_ranks_are_apart(group: Group) -> None:
    run = Run(group, "adam", topology="star").steps(*range(4))
    own = run.weights.clone()
    all_own = everybody(group, own)
    with run.distribution.consensus():
        check(run.weights, all_own.mean(0))
        assert len(set(group.comm.gather_objects(run.weights.numpy().tobytes()))) == 1
    assert torch.equal(run.weights, own)
    distance = float((all_own - all_own.mean(0)).square().sum(1).mean().sqrt())
    assert run.distance() == pytest.approx(distance, abs=1e-12)
    assert (distance > 1e-4) == (group.size > 2)  # two ranks agree after each round


WAYS = {
    "d_psgd": {"topology": "random_matching"},
    "overlap": {"topology": "one_peer_exponential", "overlap": True},
    "gradient_tracking": {"topology": "star", "gossip": "gradient_tracking"},
    "push_sum": {"topology": "exponential", "gossip": "push_sum"},
    "top_k": {"compression": "top_k", "compression_ratio": 0.1},
    "random_k": {"compression": "random_k", "compression_ratio": 0.1},
    "powersgd": {"compression": "powersgd"},
}


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("cut", [1, 4])
def test_steps_that_were_interrupted_are_the_same_bits(group: Group, settings: dict, cut: int) -> None:
    whole = Run(group, **settings).steps(*range(7))
    first = Run(group, **settings).steps(*range(cut))
    state = copy.deepcopy(first.distribution.own_state())
    second = Run(group, **settings)
    put(second.model, first.weights)
    second.distribution.load_own_state(state)
    assert torch.equal(second.steps(*range(cut, 7)).weights, whole.weights)


def test_compressed_gossip_can_forget_and_tell_everything_anew(group: Group) -> None:
    """Also what another compression has left out."""
    first = Run(group, compression="random_k", compression_ratio=0.1).steps(*range(4))
    state = first.distribution.own_state()
    runs = [Run(group, compression="int8", **its) for its in ({}, {"error_feedback": "reset"})]
    for run in runs:
        put(run.model, first.weights)
    with pytest.raises(CheckpointError, match="compression"):
        runs[0].distribution.load_own_state(state)
    runs[1].distribution.load_own_state(state)
    assert torch.equal(*(run.steps(5).weights for run in runs))


def test_what_another_kind_of_gossip_kept_is_refused(group: Group) -> None:
    plain, overlapped = Run(group).steps(0), Run(group, overlap=True).steps(0)
    with pytest.raises(CheckpointError, match=r"difference/0 is nothing in the checkpoint, and float64.*overlap"):
        overlapped.distribution.load_own_state(plain.distribution.own_state())
    tracked = Run(group, gossip="gradient_tracking")
    with pytest.raises(CheckpointError, match=r"estimate/0 is nothing in the checkpoint.*parallel\.gossip"):
        tracked.distribution.load_own_state(plain.distribution.own_state())


@pytest.mark.parametrize(
    ("settings", "times", "extra"),
    [
        ({}, 1, 0),
        ({"overlap": True}, 1, 0),
        ({"gossip": "push_sum"}, 1, 8),
        ({"compression": "sign"}, 0, 19 + 4),
    ],
    ids=["d_psgd", "overlap", "push_sum", "sign"],
)
def test_bytes_sent_are_the_weights_to_each_neighbour(group: Group, settings: dict, times: int, extra: int) -> None:
    metered = group.split(0)
    run = Run(metered, topology="star", bucket_bytes=10**6, **settings)
    run.steps(0).distribution.own_state()  # compressed gossip begins with the weights as they are
    before = metered.traffic.bytes_sent
    run.steps(1)
    run.distribution.own_state()  # all has come
    degree = min(1, group.size - 1) if group.rank else group.size - 1
    assert len(run.weights) == 147
    assert metered.traffic.bytes_sent - before == degree * (times * 147 * 8 + extra)
    metered.close()


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_weights_of_16_bits_are_mixed_in_32(group: Group, settings: dict) -> None:
    """They are copied to be mixed, as weights on a GPU are."""
    runs = {dtype: make_model().to(dtype) for dtype in (torch.float32, torch.bfloat16)}
    for dtype, model in runs.items():
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        hpctrain.distribute(model, optimizer, "gossip", group=group, read_gradients=False, **settings)
        inputs, targets = (part[block(SAMPLES, group.size, group.rank)] for part in global_batch(0))
        for _ in range(3):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs.to(dtype)).float(), targets).backward()
            optimizer.step()
    wide, narrow = (flat(model).float() for model in runs.values())
    torch.testing.assert_close(narrow, wide, rtol=0.02, atol=0.01)


def test_models_of_hpctrain_nn(group: Group) -> None:
    """Each rank's Adam keeps its own state."""

    def make(seed: int) -> tuple[Sequential, Adam]:
        model = Sequential([Linear(np, 5, 4, "float64"), Linear(np, 4, 3, "float64")])
        random = np.random.default_rng(seed)
        for _, parameter in model.named_parameters():
            parameter.value[...] = random.normal(size=parameter.value.shape)
        return model, Adam(model.named_parameters(), lr=0.05)

    def step_of(model: Sequential, optimizer: Adam, rank: int, step: int) -> None:
        inputs, targets = (part.numpy()[block(SAMPLES, group.size, rank)] for part in global_batch(step))
        optimizer.zero_grad()
        model.backward(cross_entropy(np, model.forward(inputs), targets)[1])
        optimizer.step()

    model, optimizer = make(group.rank)
    hpctrain.distribute(model, optimizer, "gossip", group=group, read_gradients=False, topology="ring")
    replicas = [make(0) for _ in range(group.size)]
    matrix = Mixing.of("ring", group.size).matrix(0)
    for step in range(5):
        step_of(model, optimizer, group.rank, step)
        for rank, replica in enumerate(replicas):
            step_of(*replica, rank, step)
        for same in zip(*(its.named_parameters() for its, _ in replicas), strict=True):
            values = np.array([parameter.value for _, parameter in same])
            for (_, parameter), mixed in zip(same, np.tensordot(matrix, values, 1), strict=True):
                parameter.value[...] = mixed
    for (_, parameter), (_, other) in zip(
        model.named_parameters(), replicas[group.rank][0].named_parameters(), strict=True
    ):
        np.testing.assert_allclose(parameter.value, other.value, rtol=1e-11, atol=1e-12)


def test_gradients_that_are_read_are_ones_own_and_tracked_as_they_are_left(group: Group) -> None:
    """distribute() lets them be read by default: whatever the reader makes of them is what is tracked."""
    runs = []
    for read in (True, False):
        model = make_model()
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        settings = {"group": group, "gossip": "gradient_tracking", "read_gradients": read}
        hpctrain.distribute(model, optimizer, "gossip", **settings)
        for step in range(4):
            gradients_of(model, group.size, group.rank, step)
            optimizer.step()
        runs.append(flat(model))
    assert torch.equal(*runs)


def test_models_that_are_made_again_and_again_leave_no_thread_behind(group: Group) -> None:
    for _ in range(5):
        Run(group, overlap=True).steps(0, 1, 2).distribution.own_state()
    gc.collect()
    left = [thread for thread in threading.enumerate() if thread.name.startswith("gossip")]
    for thread in left:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in left)


def test_impossible_graphs_are_refused(group: Group, tmp_path: Path) -> None:
    file = written(group, tmp_path, np.ones((group.size, group.size)) / group.size + np.eye(group.size))
    with pytest.raises(hpctrain.SettingsError, match=r"weights\.txt: row 0 .* sums to 2; .* within 1e-08"):
        Run(group, mixing_matrix=file)
    file = written(group, tmp_path, np.eye(group.size + 1))
    with pytest.raises(hpctrain.SettingsError, match=f"{group.size} ranks need {group.size} x {group.size} weights"):
        Run(group, mixing_matrix=file)
    if group.size & (group.size - 1):
        with pytest.raises(hpctrain.MeshError, match="a hypercube needs 2\\^k ranks"):
            Run(group, topology="hypercube")
