"""The same bits at any world size: sums in the order of the tree, and training that ends with the same weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from several_nodes import SeveralNodes

import hpctrain
from hpctrain import Group
from hpctrain.comm.solo import Solo
from hpctrain.job.settings import Model
from hpctrain.layout.binary_tree import subtrees
from hpctrain.layout.blocks import block, blocks
from hpctrain.models.build import build_nn
from hpctrain.nn.loss import cross_entropy
from hpctrain.optim.adam import Adam
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.gradient_sync.reproducible import ReproducibleGradients
from hpctrain.parallel.plan import Plan

pytestmark = pytest.mark.many_cases

SAMPLES = (24, 29, 5)  # of the global batches: one that some numbers divide, a prime, and fewer than micro-batches


@pytest.fixture(params=[1, 2], ids=["one node", "two nodes"])
def nodes(group: Group, request: pytest.FixtureRequest) -> Iterator[Group]:
    """All ranks, on one node or on two."""
    placed = Group(SeveralNodes(group.comm, request.param))
    yield placed
    placed.close()


class Passes:
    """A model that has nothing but wires, and what was noted in each pass."""

    def __init__(self, notes: Sequence[float] = ()) -> None:
        self._notes = np.array(notes)

    def collect(self) -> np.ndarray:
        return self._notes.copy()

    def forget_gradients(self) -> None:
        pass


def naive_sum(gradients: list[np.ndarray]) -> np.ndarray:
    """Neighbours are added up in pairs, until one is left."""
    while len(gradients) > 1:
        pairs = [gradients[index : index + 2] for index in range(0, len(gradients), 2)]
        gradients = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
    return gradients[0]


@pytest.mark.parametrize("num_micro_batches", [1, 2, 3, 5, 8, 13, 16])
@pytest.mark.parametrize("length", [1, 3, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_are_those_of_the_tree_bit_for_bit(nodes: Group, num_micro_batches: int, length: int, dtype: str) -> None:
    """Of numbers so different in size that every other order would show; twice, to see that nothing is left over."""
    random = np.random.default_rng(num_micro_batches)
    sync = ReproducibleGradients(nodes, num_micro_batches)
    wires = [sync.allocate(np.empty(0, dtype), length), sync.allocate(torch.empty(0, dtype=getattr(torch, dtype)), 7)]
    for num_passes in (num_micro_batches, num_micro_batches - num_micro_batches // 3):
        gradients = [[random.standard_cauchy(len(wire)).astype(dtype) for wire in wires] for _ in range(num_passes)]
        for index in range(num_micro_batches)[block(num_micro_batches, nodes.size, nodes.rank)]:
            if index < num_passes:
                for wire, gradient in zip(wires, gradients[index], strict=True):
                    np.asarray(wire)[...] += gradient
                sync.end_pass(Passes([index, 1.0]))
        notes = np.zeros(2)
        sync.finish(notes)
        assert notes.tolist() == [num_passes - 1, 1.0]
        zeros = [[np.zeros(len(wire), dtype) for wire in wires]] * (num_micro_batches - num_passes)
        for number, wire in enumerate(wires):
            expected = naive_sum([its[number] for its in [*gradients, *zeros]])
            assert np.asarray(wire).tobytes() == expected.tobytes()
            np.asarray(wire)[...] = 0


def test_half_precision_is_added_up_in_float32_and_rounded_once(group: Group) -> None:
    random = np.random.default_rng(0)
    gradients = [torch.from_numpy(random.normal(size=50)).bfloat16() for _ in range(6)]
    sync = ReproducibleGradients(group, 6)
    wire = sync.allocate(torch.empty(0, dtype=torch.bfloat16), 50)
    for index in range(6)[block(6, group.size, group.rank)]:
        wire += gradients[index]
        sync.end_pass(Passes())
    sync.finish(np.zeros(0))
    expected = naive_sum([gradient.float().numpy() for gradient in gradients])
    assert torch.equal(wire, torch.from_numpy(expected).bfloat16())


@pytest.mark.parametrize("num_micro_batches", [4, 8, 12])
def test_bytes_are_those_of_the_formula(group: Group, num_micro_batches: int) -> None:
    """(k+1) (p-1)/p n for k partial sums, and what the notes take."""
    length = 120  # which 1, 2, 3 and 4 divide
    sync = ReproducibleGradients(group, num_micro_batches)
    sync.allocate(np.empty(0), length)
    for _ in range(sync.num_passes):
        sync.end_pass(Passes())
    before = group.traffic.bytes_sent
    sync.finish(np.zeros(0))
    partials = len(subtrees(block(num_micro_batches, group.size, group.rank), num_micro_batches))
    assert group.traffic.bytes_sent - before == (partials + 1) * (group.size - 1) * length * 8 // group.size


def torch_weights(group: Group, num_micro_batches: int, bucket_bytes: int) -> bytes:
    """After some steps, clipped ones, on batches of different sizes."""
    torch.manual_seed(0)
    layers = torch.nn.Linear(5, 64), torch.nn.Tanh(), torch.nn.Linear(64, 40), torch.nn.GELU(), torch.nn.Linear(40, 3)
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    plan = Plan.build(group, model, optimizer, micro_batches=num_micro_batches, bucket_bytes=bucket_bytes)
    distribution = Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.3, tell=pytest.fail)
    for step in range(6):
        random = np.random.default_rng(step)
        samples = SAMPLES[step % 3]
        inputs, targets = random.normal(size=(samples, 5)).astype(np.float32), random.integers(0, 3, samples)
        optimizer.zero_grad()
        for cut in blocks(samples, num_micro_batches)[block(num_micro_batches, group.size, group.rank)]:
            if cut.stop > cut.start:
                outputs = model(torch.tensor(inputs[cut]))
                loss = torch.nn.functional.cross_entropy(outputs, torch.tensor(targets[cut]), reduction="sum")
                (loss * (plan.accumulation.loss_scale / samples)).backward()
        if step == 4:
            distribution.drop_step()
        else:
            optimizer.step()
    return b"".join(parameter.detach().numpy().tobytes() for parameter in model.parameters())


def numpy_weights(group: Group, num_micro_batches: int) -> bytes:
    """The same with layers of our own."""
    settings = Model(kind="cnn", channels=[4], hidden=[16])
    model = build_nn(settings, np, input_shape=(1, 6, 6), num_outputs=3, seed=0, dtype="float32")
    optimizer = Adam(model.named_parameters(), lr=1e-2)
    plan = Plan.build(group, model, optimizer, micro_batches=num_micro_batches)
    Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.3, tell=pytest.fail)
    for step in range(6):
        random = np.random.default_rng(step)
        samples = SAMPLES[step % 3]
        inputs, targets = random.normal(size=(samples, 1, 6, 6)).astype(np.float32), random.integers(0, 3, samples)
        optimizer.zero_grad()
        for cut in blocks(samples, num_micro_batches)[block(num_micro_batches, group.size, group.rank)]:
            if cut.stop > cut.start:
                _, gradient, _ = cross_entropy(np, model.forward(inputs[cut]), targets[cut])
                model.backward(gradient * np.float32(plan.accumulation.loss_scale / samples))
        optimizer.step()
    return b"".join(parameter.value.tobytes() for _, parameter in model.named_parameters())


@pytest.mark.parametrize("num_micro_batches", [1, 4, 7, 8])
@pytest.mark.parametrize("bucket_bytes", [200, 10**6])
def test_torch_ends_with_the_weights_of_one_rank(nodes: Group, num_micro_batches: int, bucket_bytes: int) -> None:
    here = torch_weights(nodes, num_micro_batches, bucket_bytes)
    assert (
        nodes.comm.gather_objects(here) == [torch_weights(Group(Solo()), num_micro_batches, bucket_bytes)] * nodes.size
    )


@pytest.mark.parametrize("num_micro_batches", [1, 7, 8])
def test_numpy_ends_with_the_weights_of_one_rank(nodes: Group, num_micro_batches: int) -> None:
    here = numpy_weights(nodes, num_micro_batches)
    assert nodes.comm.gather_objects(here) == [numpy_weights(Group(Solo()), num_micro_batches)] * nodes.size


def test_idle_ranks_are_told(group: Group) -> None:
    model = torch.nn.Linear(2, 2)
    plan = Plan.build(group, model, torch.optim.SGD(model.parameters()), micro_batches=2)
    idle = {1: (), 2: (), 3: ("nothing to compute for rank 2: ",), 4: ("nothing to compute for ranks 2-3: ",)}
    assert len(plan.notes) == len(idle[group.size])
    assert all(note.startswith(words) for note, words in zip(plan.notes, idle[group.size], strict=True))
    assert len(plan.schedule) == len(range(2)[block(2, group.size, group.rank)])


def test_what_depends_on_who_has_seen_which_sample_is_refused(group: Group) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.SGD(model.parameters())
    plan = Plan.build(group, model, optimizer, micro_batches=4)
    with pytest.raises(hpctrain.ModelError, match=r"BatchNorm .* use GroupNorm or LayerNorm"):
        Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=pytest.fail)
    plan = Plan.build(group, model, optimizer, micro_batches=4)
    with pytest.raises(hpctrain.ModelError, match="read_gradients=False"):
        hpctrain.distribute(model, optimizer, plan)
