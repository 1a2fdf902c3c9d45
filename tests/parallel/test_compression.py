"""Compressed gradients: ranks hold the same bits, send the bytes of the formula, and learn as well."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hpctrain
from hpctrain import Group
from hpctrain.compress.build import build_compressor
from hpctrain.data.sources.digits import open_source
from hpctrain.data.sources.source import Request
from hpctrain.layout.blocks import block

pytestmark = pytest.mark.many_cases

LOSSY = ["fp16", "bf16", "int8", "sign", "top_k", "random_k", "powersgd"]
BY_ALL_REDUCE = ["random_k", "powersgd"]  # which on one node sends nothing; with rings see tests/unit/compress
NEARLY_LOSSLESS = {"fp16": 1e-3, "bf16": 1e-2, "int8": 2e-2}  # and what one step may differ by, relative
SHAPES = ((64, 32), (64,), (10, 64), (10,))  # of the model below; the last three share a bucket


def make_model() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.Tanh(), torch.nn.Linear(64, 10))


def trained(group: Group, steps: int, lr: float = 0.1, **settings: object) -> torch.nn.Sequential:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    hpctrain.distribute(model, optimizer, group=group, bucket_bytes=4000, **settings)
    for step in range(steps):
        random = np.random.default_rng((step, group.rank))
        inputs = torch.from_numpy(random.normal(size=(8, 32)).astype(np.float32))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), torch.arange(8)).backward()
        optimizer.step()
    return model


def asked(name: str) -> dict[str, object]:
    """The settings of a compression."""
    return {"compression": name, **({"compression_ratio": 0.1} if name in ("top_k", "random_k") else {})}


def weights(model: torch.nn.Module) -> np.ndarray:
    return np.concatenate([parameter.detach().numpy().reshape(-1) for parameter in model.parameters()])


@pytest.mark.parametrize("strategy", ["all_reduce", "central"])
@pytest.mark.parametrize("name", LOSSY)
def test_all_ranks_hold_the_same_bits(group: Group, name: str, strategy: str) -> None:
    found = weights(trained(group, 5, strategy=strategy, **asked(name)))
    assert len(set(group.comm.gather_objects(found.tobytes()))) == 1
    assert not np.array_equal(found, weights(make_model()))


@pytest.mark.parametrize("strategy", ["all_reduce", "central"])
@pytest.mark.parametrize("name", NEARLY_LOSSLESS)
def test_a_step_is_nearly_that_without_compression(group: Group, name: str, strategy: str) -> None:
    before, exact = weights(make_model()), weights(trained(group, 1, gradient_sync="replicated"))
    found = weights(trained(group, 1, strategy=strategy, compression=name))
    assert np.linalg.norm(found - exact) <= NEARLY_LOSSLESS[name] * np.linalg.norm(exact - before)


@pytest.mark.parametrize("name", [name for name in LOSSY if name not in BY_ALL_REDUCE])
def test_the_bytes_on_the_wire_are_those_of_the_formula(group: Group, name: str) -> None:
    """What one more step sends: gradients, and the notes, which are the same with and without compression."""

    def sent(steps: int, **settings: object) -> int:
        before = group.traffic.bytes_sent
        trained(group, steps, **settings)
        return sum(group.comm.gather_objects(group.traffic.bytes_sent - before))

    def of_a_step(**settings: object) -> int:
        return sent(3, **settings) - sent(2, **settings)

    buckets = (SHAPES[1:], SHAPES[:1])  # which are filled from the last parameter
    expected = 0
    for number, shapes in enumerate(buckets):
        starts = np.cumsum([0, *(int(np.prod(shape)) for shape in reversed(shapes))]).tolist()
        compressor = build_compressor(
            name,
            dtype=np.dtype(np.float32),
            ratio=0.1,
            rank=2,
            bucket=number,
            parameters=list(zip(starts, reversed(shapes), strict=False)),
        )
        expected += compressor.wire_bytes(starts[-1], 4, group.size)
    uncompressed = of_a_step(gradient_sync="replicated", algorithm="ring")
    notes = uncompressed - sum(2 * (group.size - 1) * 4 * int(np.prod(shape)) for shape in SHAPES)
    assert of_a_step(algorithm="ring", **asked(name)) - notes == expected


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    source = open_source(Request(""))
    inputs, targets = source.read(np.arange(len(source)))
    flat = torch.from_numpy(inputs.reshape(len(inputs), -1).astype(np.float32)) / 16
    return flat, torch.from_numpy(targets.astype(np.int64))


@pytest.mark.parametrize("name", ["none", *LOSSY])
def test_it_learns_as_well_as_without(group: Group, digits: tuple[torch.Tensor, torch.Tensor], name: str) -> None:
    """Two layers on the digits: a tenth of the numbers, or a bit of each, is enough."""
    inputs, targets = digits
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Tanh(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    hpctrain.distribute(model, optimizer, group=group, read_gradients=False, **asked(name))
    order = np.random.default_rng(0).permutation(len(inputs))
    training, test = order[:1400], order[1400:]
    for step in range(200):
        ids = np.random.default_rng(step).choice(training, 96, replace=False)
        mine = ids[block(96, group.size, group.rank)]
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs[mine]), targets[mine], reduction="sum")
        (loss * group.size / 96).backward()
        optimizer.step()
    accuracy = float((model(inputs[test]).argmax(1) == targets[test]).float().mean())
    assert accuracy > 0.95  # 0.97 without compression, alone
