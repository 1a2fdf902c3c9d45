"""Local steps against a serial oracle: all ranks' replicas in one process, averaged by hand."""

from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from small_job import SAMPLES, global_batch, make_model

import hpctrain
from hpctrain import Group
from hpctrain.errors import CheckpointError
from hpctrain.job.settings import Parallel
from hpctrain.layout.blocks import block
from hpctrain.nn.linear import Linear
from hpctrain.nn.loss import cross_entropy
from hpctrain.nn.sequential import Sequential
from hpctrain.optim.adam import Adam
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan

pytestmark = pytest.mark.many_cases

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
}


def step_on_its_part(model: torch.nn.Module, optimizer: torch.optim.Optimizer, size: int, rank: int, step: int) -> None:
    inputs, targets = global_batch(step)
    mine = block(SAMPLES, size, rank)
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(inputs[mine]), targets[mine]).backward()
    optimizer.step()


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


def put(model: torch.nn.Module, weights: torch.Tensor) -> None:
    with torch.no_grad():
        start = 0
        for parameter in model.parameters():
            parameter.copy_(weights[start : start + parameter.numel()].view(parameter.shape))
            start += parameter.numel()


class World:
    """The oracle: `size` replicas and what an average does with them, written down once more, naively."""

    def __init__(self, size: int, optimizer: str) -> None:
        self.models = [make_model() for _ in range(size)]
        self.optimizers = [OPTIMIZERS[optimizer](model.parameters()) for model in self.models]
        self.anchor = flat(self.models[0]).clone().requires_grad_(True)

    def step(self, step: int) -> None:
        for rank, (model, optimizer) in enumerate(zip(self.models, self.optimizers, strict=True)):
            step_on_its_part(model, optimizer, len(self.models), rank, step)

    @property
    def replicas(self) -> torch.Tensor:
        return torch.stack([flat(model) for model in self.models])

    def put(self, replicas: torch.Tensor) -> None:
        for model, weights in zip(self.models, replicas, strict=True):
            put(model, weights)


def train(group: Group, steps: int, optimizer: str = "sgd", **settings: object) -> tuple[torch.nn.Module, Distribution]:
    model = make_model(seed=group.rank)  # only rank 0 has the right weights to start from
    made = OPTIMIZERS[optimizer](model.parameters())
    distribution = distributed(group, model, made, **settings)
    for step in range(steps):
        step_on_its_part(model, made, group.size, group.rank, step)
    return model, distribution


def distributed(
    group: Group, model: object, optimizer: object, *, bucket_bytes: int = 10**6, **settings: object
) -> Distribution:
    plan = Plan.build(group, model, optimizer, Parallel(**settings), bucket_bytes=bucket_bytes)
    return Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=lambda _: None)


def check(group: Group, model: torch.nn.Module, expected: torch.Tensor) -> None:
    torch.testing.assert_close(flat(model), expected, rtol=1e-11, atol=1e-12)


def alike(group: Group, model: torch.nn.Module) -> bool:
    return len(set(group.comm.gather_objects(flat(model).numpy().tobytes()))) == 1


@pytest.mark.parametrize("bucket_bytes", [1, 10**6])
@pytest.mark.parametrize(
    "settings",
    [{"strategy": "local_sgd"}, {"strategy": "diloco", "outer_lr": 1.0, "outer_momentum": 0.0}],
    ids=["local_sgd", "diloco"],
)
def test_an_average_after_each_step_is_all_reduce(group: Group, settings: dict, bucket_bytes: int) -> None:
    model, _ = train(group, 6, sync_every=1, bucket_bytes=bucket_bytes, **settings)
    serial = make_model()
    optimizer = OPTIMIZERS["sgd"](serial.parameters())
    for step in range(6):
        step_on_its_part(serial, optimizer, 1, 0, step)
    check(group, model, flat(serial))
    assert alike(group, model)


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_local_sgd_averages_every_so_many_steps(group: Group, optimizer: str) -> None:
    model, _ = train(group, 8, optimizer, strategy="local_sgd", sync_every=3)
    world = World(group.size, optimizer)
    for step in range(8):
        world.step(step)
        if step in (2, 5):
            world.put(world.replicas.mean(0).expand(group.size, -1))
    check(group, model, world.replicas[group.rank])
    assert alike(group, model) == (group.size == 1)


def test_intervals_grow(group: Group) -> None:
    model, distribution = train(group, 11, strategy="local_sgd", sync_every=2, sync_growth=1.5)
    world = World(group.size, "sgd")
    for step in range(11):
        world.step(step)
        if step + 1 in (2, 5, 9):  # 2, then round(3.0), then round(4.5) steps
            world.put(world.replicas.mean(0).expand(group.size, -1))
    check(group, model, world.replicas[group.rank])
    assert distribution.plan.weight_sync.report() == {"num_averages": 3}


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_diloco_steps_with_the_nesterov_of_torch(group: Group, optimizer: str) -> None:
    settings = {"strategy": "diloco", "sync_every": 2, "outer_lr": 0.7, "outer_momentum": 0.9}
    model, _ = train(group, 9, optimizer, **settings)
    world = World(group.size, optimizer)
    outer = torch.optim.SGD([world.anchor], lr=0.7, momentum=0.9, nesterov=True)
    for step in range(9):
        world.step(step)
        if step % 2:
            world.anchor.grad = world.anchor.detach() - world.replicas.mean(0)
            outer.step()
            world.put(world.anchor.detach().expand(group.size, -1))
    check(group, model, world.replicas[group.rank])


def test_elastic_averaging(group: Group) -> None:
    model, _ = train(group, 7, strategy="local_sgd", sync_every=2, elasticity=0.4)
    world = World(group.size, "sgd")
    centre = world.anchor.detach().clone()
    for step in range(7):
        world.step(step)
        if step % 2:
            apart = world.replicas - centre
            world.put(world.replicas - 0.4 * apart)
            centre += 0.4 * apart.mean(0)
    check(group, model, world.replicas[group.rank])
    assert alike(group, model) == (group.size == 1)


# Parameters lie in buckets from the last to the first: all but the weight of the first layer are the first half.
HALVES = slice(80, None), slice(0, 80)


def test_fragments_take_turns(group: Group) -> None:
    model, _ = train(group, 9, strategy="local_sgd", sync_every=4, fragments=2)
    world = World(group.size, "sgd")
    for step in range(9):
        world.step(step)
        for cut, steps in zip(HALVES, ((2, 6), (4, 8)), strict=True):
            if step + 1 in steps:
                replicas = world.replicas
                replicas[:, cut] = replicas[:, cut].mean(0)
                world.put(replicas)
    check(group, model, world.replicas[group.rank])


@pytest.mark.parametrize("sync_every", [1, 3])
def test_averages_that_travel_while_the_next_step_is_made(group: Group, sync_every: int) -> None:
    model, distribution = train(group, 8, strategy="local_sgd", sync_every=sync_every, overlap=True)
    world = World(group.size, "sgd")
    left: torch.Tensor | None = None
    for step in range(8):
        world.step(step)
        if left is not None:
            world.put(world.replicas + left.mean(0) - left)
        left = world.replicas if (step + 1) % sync_every == 0 else None
    check(group, model, world.replicas[group.rank])
    with distribution.consensus():
        check(group, model, world.replicas.mean(0))


def test_the_anchor_of_an_overlapped_average_moves_as_any(group: Group) -> None:
    settings = {"strategy": "diloco", "sync_every": 2, "outer_lr": 0.5, "outer_momentum": 0.8, "overlap": True}
    model, distribution = train(group, 8, **settings, fragments=2)
    world = World(group.size, "sgd")
    anchor = world.anchor.detach().clone()
    velocity = torch.zeros_like(anchor)
    left: tuple[slice, torch.Tensor] | None = None
    for step in range(8):
        world.step(step)
        if left is not None:
            cut, replicas = left
            gradient = anchor[cut] - replicas[:, cut].mean(0)
            velocity[cut] = 0.8 * velocity[cut] + gradient
            anchor[cut] -= 0.5 * (gradient + 0.8 * velocity[cut])
            now = world.replicas
            now[:, cut] += anchor[cut] - replicas[:, cut]
            world.put(now)
        left = HALVES[step % 2], world.replicas
    check(group, model, world.replicas[group.rank])
    with distribution.consensus():
        assert alike(group, model)


def test_consensus_is_the_mean_and_says_how_far_ranks_are_apart(group: Group) -> None:
    model, distribution = train(group, 5, strategy="diloco", sync_every=3)
    own = flat(model).clone()
    everybody = torch.stack([torch.from_numpy(its) for its in group.comm.gather_objects(own.numpy())])
    with distribution.consensus():
        torch.testing.assert_close(flat(model), everybody.mean(0), rtol=1e-12, atol=1e-13)
        assert alike(group, model)
    assert torch.equal(flat(model), own)
    distance = float((everybody - everybody.mean(0)).square().sum(1).mean().sqrt())
    assert distribution.plan.weight_sync.metrics() == {"consensus_distance": pytest.approx(distance, abs=1e-12)}
    assert (distance > 1e-4) == (group.size > 1)


WAYS = {
    "local_sgd": {"strategy": "local_sgd", "sync_every": 3, "sync_growth": 1.3},
    "diloco": {"strategy": "diloco", "sync_every": 3, "fragments": 2},
    "elastic": {"strategy": "local_sgd", "sync_every": 3, "elasticity": 0.3},
    "overlapped": {"strategy": "diloco", "sync_every": 2, "overlap": True},
    "compressed": {"strategy": "diloco", "sync_every": 2, "compression": "top_k", "compression_ratio": 0.2},
    "both": {"strategy": "diloco", "sync_every": 2, "overlap": True, "compression": "powersgd"},
    "fp16": {"strategy": "local_sgd", "sync_every": 2, "overlap": True, "compression": "fp16"},
}


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("cut", [1, 4, 5])
def test_steps_that_were_interrupted_are_the_same_bits(group: Group, settings: dict, cut: int) -> None:
    """Also where an average is under way, and where nothing was averaged since the last interruption."""
    whole, _ = train(group, 9, **settings, bucket_bytes=700)
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    distribution = distributed(group, model, optimizer, **settings, bucket_bytes=700)
    for step in range(9):
        if step in (cut, cut + 1):
            state = copy.deepcopy(distribution.own_state())
            before = flat(model).clone()
            model = make_model()
            optimizer = OPTIMIZERS["sgd"](model.parameters())
            distribution = distributed(group, model, optimizer, **settings, bucket_bytes=700)
            put(model, before)
            distribution.load_own_state(state)
        step_on_its_part(model, optimizer, group.size, group.rank, step)
    assert torch.equal(flat(model), flat(whole))


def test_weights_that_the_host_must_copy(group: Group) -> None:
    """As on a GPU: bfloat16 has no NumPy array. Ranks agree, and an interruption changes no bit."""
    settings = {"strategy": "diloco", "sync_every": 2, "overlap": True, "fragments": 2}

    def make() -> tuple[torch.nn.Module, torch.optim.Optimizer, Distribution]:
        model = make_model().bfloat16()
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        return model, optimizer, distributed(group, model, optimizer, **settings)

    def step_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        inputs, targets = (part[block(SAMPLES, group.size, group.rank)] for part in global_batch(step))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs.bfloat16()), targets).backward()
        optimizer.step()

    (whole, its, _), (model, optimizer, distribution) = make(), make()
    for step in range(6):
        step_of(whole, its, step)
        if step == 3:
            state, before = copy.deepcopy(distribution.own_state()), flat(model).clone()
            model, optimizer, distribution = make()
            put(model, before)
            distribution.load_own_state(state)
        step_of(model, optimizer, step)
    assert torch.equal(flat(model), flat(whole))
    assert not torch.equal(flat(model), flat(make_model().bfloat16()))
    with distribution.consensus():
        everybody = group.comm.gather_objects(flat(model).float().numpy().tobytes())
    assert len(set(everybody)) == 1


def test_a_state_of_other_pieces_is_refused(group: Group) -> None:
    _, two = train(group, 1, strategy="diloco", fragments=2)
    _, one = train(group, 1, strategy="diloco")
    with pytest.raises(CheckpointError, match=r"parallel\.fragments"):
        one.load_own_state(two.own_state())
    one.load_own_state({})  # saved before the first step


def test_models_of_hpctrain_nn(group: Group) -> None:
    """Each rank's Adam keeps its own state over an average."""

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
    distributed(group, model, optimizer, strategy="local_sgd", sync_every=2)
    replicas = [make(0) for _ in range(group.size)]
    for step in range(7):
        step_of(model, optimizer, group.rank, step)
        for rank, replica in enumerate(replicas):
            step_of(*replica, rank, step)
        if step % 2:
            for same in zip(*(its.named_parameters() for its, _ in replicas), strict=True):
                mean = np.mean([parameter.value for _, parameter in same], axis=0)
                for _, parameter in same:
                    parameter.value[...] = mean
    for (_, parameter), (_, other) in zip(
        model.named_parameters(), replicas[group.rank][0].named_parameters(), strict=True
    ):
        np.testing.assert_allclose(parameter.value, other.value, rtol=1e-11, atol=1e-12)


def test_bytes_sent_are_those_of_an_all_reduce_in_each_interval(group: Group) -> None:
    metered = group.split(0)
    model = make_model()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    distribution = distributed(metered, model, optimizer, strategy="diloco", sync_every=4, overlap=True)
    before = metered.traffic.bytes_sent
    for step in range(8):
        step_on_its_part(model, optimizer, group.size, group.rank, step)
    distribution.own_state()  # the second average has come
    sent = sum(group.comm.gather_objects(metered.traffic.bytes_sent - before))
    assert sent == 2 * 2 * (group.size - 1) * flat(model).numpy().nbytes
    metered.close()


def test_models_that_are_gone_leave_no_thread_behind(group: Group) -> None:
    for _ in range(3):
        train(group, 3, strategy="local_sgd", sync_every=1, overlap=True)
    gc.collect()
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("averages")]
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)


def test_distribute_takes_the_settings(group: Group) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    hpctrain.distribute(model, optimizer, "diloco", group=group, sync_every=2, outer_lr=0.5)
    for step in range(2):
        step_on_its_part(model, optimizer, group.size, group.rank, step)
    assert alike(group, model)
    with pytest.raises(hpctrain.SettingsError, match="sync_every"):
        hpctrain.distribute(make_model(), optimizer, "diloco", group=group, sync_every=0)


def test_consensus_for_somebodys_own_loop(group: Group) -> None:
    model = make_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    hpctrain.distribute(model, optimizer, "local_sgd", group=group, sync_every=10)
    step_on_its_part(model, optimizer, group.size, group.rank, 0)
    own = flat(model).clone()
    mean = group.all_reduce(own.clone(), "mean")
    with hpctrain.consensus(model):
        torch.testing.assert_close(flat(model), mean)
        assert alike(group, model)
    torch.testing.assert_close(flat(model), own, rtol=0, atol=0)
    with pytest.raises(hpctrain.ModelError, match="call distribute first"):
        hpctrain.consensus(make_model())
