"""Divergence is caught: what differs on some ranks is named, and put right if asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from several_nodes import SeveralNodes

import hpctrain
from hpctrain import Group
from hpctrain.job.settings import Parallel
from hpctrain.nn.linear import Linear
from hpctrain.nn.sequential import Sequential
from hpctrain.optim.adam import Adam
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.verify import Verification

pytestmark = pytest.mark.many_cases

# What each rank holds of its own; ranks of one node share the rest.
APART = {
    "replicated": Parallel(gradient_sync="replicated"),
    "central": Parallel(strategy="central"),
    "local_sgd": Parallel(strategy="local_sgd", sync_every=3),
    "diloco": Parallel(strategy="diloco", sync_every=3),
    "reproducible": Parallel(),
    "servers": Parallel(strategy="parameter_server", keys="hash"),
    "dedicated": Parallel(strategy="parameter_server", dedicated_servers=True),
}
EACH_APART = [
    pytest.param(name, marks=[pytest.mark.min_ranks(2)] if APART[name].dedicated_servers else []) for name in APART
]
SHARED = {"node_shared": Parallel(), "shard": Parallel(shard="optimizer")}  # on one node


@pytest.fixture(params=[1, 2], ids=["one node", "two nodes"])
def nodes(group: Group, request: pytest.FixtureRequest) -> Iterator[Group]:
    """All ranks, on one node or on two."""
    placed = Group(SeveralNodes(group.comm, request.param))
    yield placed
    placed.close()


class Training:
    """A small model that is trained, and compared when `compare` is called."""

    def __init__(self, group: Group, settings: Parallel, action: str = "stop", micro_batches: int = 0) -> None:
        torch.manual_seed(0)
        layers = torch.nn.Linear(5, 64), torch.nn.Tanh(), torch.nn.Linear(64, 40), torch.nn.Linear(40, 3)
        self.group = group
        self.model = torch.nn.Sequential(*layers).double()  # 24 KB: some pages for each rank of a node
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.told: list[str] = []
        self.plan = Plan.build(
            group,
            self.model,
            self.optimizer,
            settings,
            verify_every=2,
            verify_action=action,
            micro_batches=micro_batches,
            bucket_bytes=10_000,
        )
        self.distribution = Distribution(
            self.plan, self.model, self.optimizer, read_gradients=False, clip_norm=0.0, tell=self.told.append
        )

    def steps(self, number: int) -> None:
        for step in range(number):
            self.optimizer.zero_grad()
            for _ in self.plan.schedule:
                random = np.random.default_rng((self.group.rank, step))
                self.model(torch.from_numpy(random.normal(size=(4, 5)))).square().sum().backward()
            self.optimizer.step()

    def compare(self) -> None:
        verification = Verification(self.plan, self.distribution._trainable, self.told.append)
        verification.after_step()  # not due yet
        verification.after_step()

    def weights(self) -> list[bytes]:
        mine = b"".join(parameter.detach().numpy().tobytes() for parameter in self.model.parameters())
        return self.group.comm.gather_objects(mine)


def spoil(array: Any) -> None:
    """Change the last bit of one number."""
    flat = np.asarray(array.detach() if isinstance(array, torch.Tensor) else array).reshape(-1)
    flat[7:8].view(np.int64)[...] ^= 1


@pytest.mark.parametrize("name", [*EACH_APART, *SHARED])
def test_ranks_that_agree_go_on(nodes: Group, name: str) -> None:
    """While they train; and NaNs are bits like others."""
    training = Training(nodes, {**APART, **SHARED}[name], micro_batches=4 if name == "reproducible" else 0)
    training.steps(6)
    training.compare()
    if name in ("replicated", "reproducible"):
        with torch.no_grad():
            training.model[2].weight[3, 1] = float("nan")
        training.compare()
        training.steps(2)
    assert training.told == []


@pytest.mark.parametrize("name", APART)
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.min_ranks(2)
def test_weights_that_differ_are_named(nodes: Group, name: str, place: str) -> None:
    training = Training(nodes, APART[name], micro_batches=4 if name == "reproducible" else 0)
    training.steps(3)
    spoilt = 0 if place == "first" else nodes.size - 1
    if nodes.rank == spoilt:
        spoil(training.model[2].weight)
        spoil(training.model[3].bias.new_zeros(8))  # of something else: nobody sees that
    named = 1 if nodes.size == 2 else spoilt  # of two, rank 0 is right
    with pytest.raises(
        hpctrain.DivergenceError, match=rf"run 2\.weight on rank {named} is not what rank {named == 0:d} holds"
    ):
        training.compare()


@pytest.mark.min_ranks(2)
def test_optimizer_state_that_differs_is_named(group: Group) -> None:
    training = Training(group, APART["replicated"])
    training.steps(1)
    if group.rank == 1:
        spoil(training.optimizer.state[training.model[0].weight]["exp_avg"])
        spoil(training.optimizer.state[training.model[2].weight]["exp_avg_sq"])
    words = r"run 0\.weight \(exp_avg\) \(and 1 more arrays\) on rank 1 is not what rank 0 holds"
    with pytest.raises(hpctrain.DivergenceError, match=words):
        training.compare()


@pytest.mark.min_ranks(2)
def test_weights_that_were_gathered_are_compared(group: Group) -> None:
    placed = Group(SeveralNodes(group.comm, 2))
    training = Training(placed, SHARED["shard"])
    training.steps(1)
    if placed.rank == 1:
        spoil(training.model[2].weight)
    with pytest.raises(hpctrain.DivergenceError, match=r"run 2\.weight on ranks? 1(, 3)? is not what rank 0 holds"):
        training.compare()
    placed.close()


@pytest.mark.min_ranks(2)
@pytest.mark.parametrize("part", ["weights", "exp_avg"])
def test_nodes_that_differ_are_named_by_who_owns_the_slice(group: Group, part: str) -> None:
    placed = Group(SeveralNodes(group.comm, 2))
    training = Training(placed, SHARED["node_shared"])
    training.steps(1)
    if placed.rank == 1:  # on the second node, as rank 3
        weight = training.model[0].weight
        spoil(weight if part == "weights" else training.optimizer.state[weight][part])
    placed.nodes.barrier()
    words = r"run 0\.weight( \(exp_avg\))? on ranks? [13] is not what rank [02] holds"
    with pytest.raises(hpctrain.DivergenceError, match=words):
        training.compare()
    placed.close()


@pytest.mark.parametrize("name", ["replicated", "node_shared", "central", "local_sgd", "servers", "dedicated"])
@pytest.mark.min_ranks(2)
def test_resync_gives_everybody_what_most_hold(nodes: Group, name: str) -> None:
    training = Training(nodes, {**APART, **SHARED}[name], action="resync")
    training.steps(3)
    before = training.weights()
    is_apart = name != "node_shared" or nodes.num_nodes == 2
    state = training.optimizer.state.get(training.model[0].bias, {})
    moment = state.get("exp_avg")
    if is_apart and nodes.rank == 1:
        spoil(training.model[2].weight)
        spoil(training.model[3].weight)
        if name == "replicated":
            spoil(moment)
    nodes.nodes.barrier()
    training.compare()
    assert training.weights() == before
    if name == "replicated":
        assert len(set(nodes.comm.gather_objects(moment.numpy().tobytes()))) == 1
    assert len(training.told) == (is_apart and nodes.rank == 0)
    assert all("2.weight (and " in note and "took over" in note for note in training.told)
    training.compare()
    training.steps(3)


def without_state(training: Training) -> None:
    training.optimizer.state.pop(training.model[0].bias)


def of_another_dtype(training: Training) -> None:
    state = training.optimizer.state[training.model[0].bias]
    state["something"] = torch.zeros(3)


@pytest.mark.min_ranks(2)
@pytest.mark.parametrize("change", [without_state, of_another_dtype])
def test_what_some_ranks_lack_cannot_be_put_right(group: Group, change: Callable[[Training], None]) -> None:
    training = Training(group, APART["replicated"], action="resync")
    training.steps(1)
    if group.rank == 0:
        change(training)
    with pytest.raises(hpctrain.DivergenceError, match=r"0\.bias \("):
        training.compare()


@pytest.mark.parametrize(
    "settings", [{"strategy": "hogwild"}, {"strategy": "parameter_server", "consistency": "bounded"}]
)
def test_ranks_at_their_own_pace_are_not_compared(group: Group, settings: dict[str, str]) -> None:
    with pytest.raises(hpctrain.SettingsError, match="verify_every=2: ranks that do not step together hold different"):
        Training(group, Parallel(**settings))


@pytest.mark.min_ranks(2)
def test_while_training_in_somebodys_own_loop(group: Group) -> None:
    """`distribute` takes `verify_every`; here with layers of our own."""
    model = Sequential([Linear(np, 3, 4, dtype="float64"), Linear(np, 4, 2, dtype="float64")])
    optimizer = Adam(model.named_parameters(), lr=0.1)
    settings = {"gradient_sync": "replicated", "verify_every": 3, "read_gradients": False}
    hpctrain.distribute(model, optimizer, group=group, **settings)

    def step() -> None:
        optimizer.zero_grad()
        model.backward(model.forward(np.ones((2, 3))))
        optimizer.step()

    for _ in range(4):
        step()
    if group.rank == 0:
        spoil(model.layers[0].weight.value)
    step()
    named = 1 if group.size == 2 else 0
    with pytest.raises(hpctrain.DivergenceError, match=rf"after 6 steps of this run 0\.weight on rank {named} is not"):
        step()
