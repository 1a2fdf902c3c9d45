"""The loader: the same global batches in any world, every sample once, the same number of batches on every rank."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.data import open as opening
from hpctrain.data.batch import Batch
from hpctrain.data.loader import Loader
from hpctrain.errors import DataError
from hpctrain.layout.blocks import block

Open = Callable[..., Any]
SIZES = [1, 2, 3, 8, 40]
PARTITIONS = ["batch", "range", "random", "hash"]


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """31 samples whose one input is their number."""
    np.savez(tmp_path / "a.npz", x=np.arange(31.0)[:, None], y=np.arange(31) % 4)
    return str(tmp_path / "a.npz")


def loaders(opened: list[Any], part: str = "train", **changes: Any) -> list[Loader]:
    options = {"batch_size": 7, "seed": 5, "shuffle": True, "prefetch": 2, **changes}
    return [Loader(getattr(data, part), rank=rank, size=len(opened), **options) for rank, data in enumerate(opened)]


def global_batches(per_rank: list[list[Batch]]) -> list[Batch]:
    """The batches of all ranks put together, samples sorted by id."""
    assert len({len(batches) for batches in per_rank}) == 1
    whole = []
    for parts in zip(*per_rank, strict=True):
        ids, inputs, targets = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "inputs", "targets")
        )
        assert {(part.global_size, part.epoch, part.index) for part in parts} == {
            (len(ids), parts[0].epoch, parts[0].index)
        }
        order = np.argsort(ids)
        whole.append(Batch(inputs[order], targets[order], ids[order], len(ids), parts[0].epoch, parts[0].index))
    return whole


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("partition", PARTITIONS)
def test_an_epoch_is_the_same_in_any_world(open_ranks: Open, archive: str, size: int, partition: str) -> None:
    settings = {"source": "npy", "path": archive, "test_fraction": 0.0, "normalize": "none"}
    serial = loaders(open_ranks(1, **settings))[0]
    ranks = loaders(open_ranks(size, partition=partition, **settings))
    for epoch in (0, 3):
        expected = global_batches([list(serial.epoch(epoch))])
        found = global_batches([list(loader.epoch(epoch)) for loader in ranks])
        assert len(found) == len(expected) == ranks[0].batches_per_epoch == 5
        for batch, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(batch.ids, other.ids)
            np.testing.assert_array_equal(batch.inputs[:, 0], batch.ids)
            np.testing.assert_array_equal(batch.targets, batch.ids % 4)
            assert (batch.epoch, batch.index) == (epoch, other.index)
        assert sorted(np.concatenate([batch.ids for batch in found])) == list(range(31))
        assert [len(batch) for batch in found] == [7, 7, 7, 7, 3]


def test_each_epoch_has_its_own_order_unless_not_shuffled(open_ranks: Open, archive: str) -> None:
    opened = open_ranks(1, source="npy", path=archive)
    ids = [np.concatenate([batch.ids for batch in loaders(opened)[0].epoch(epoch)]) for epoch in (0, 1)]
    assert not np.array_equal(ids[0], ids[1])
    plain = loaders(opened, shuffle=False)[0]
    assert np.concatenate([batch.ids for batch in plain.epoch(1)]).tolist() == list(range(25))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("part", ["train", "test"])
def test_an_evaluation_sees_every_sample_once(
    open_ranks: Open, archive: str, size: int, partition: str, part: str
) -> None:
    opened = open_ranks(size, source="npy", path=archive, partition=partition, test_fraction=0.3)
    batches = global_batches([list(loader.evaluation(4)) for loader in loaders(opened, part)])
    assert sorted(np.concatenate([batch.ids for batch in batches])) == list(range(len(getattr(opened[0], part))))
    assert all(batch.global_size <= 4 for batch in batches)


def test_a_range_partition_gives_every_rank_work_in_each_evaluation_batch(open_ranks: Open, archive: str) -> None:
    opened = open_ranks(3, source="npy", path=archive, partition="range", test_fraction=0.0)
    for loader in loaders(opened):
        assert all(len(batch) >= 3 for batch in loader.evaluation(15))


def test_a_resumed_epoch_continues_where_it_was(open_ranks: Open, archive: str) -> None:
    loader = loaders(open_ranks(1, source="npy", path=archive))[0]
    whole, rest = list(loader.epoch(2)), list(loader.epoch(2, start=3))
    assert [batch.index for batch in rest] == [3]
    np.testing.assert_array_equal(rest[0].inputs, whole[3].inputs)
    assert list(loader.epoch(2, start=4)) == []


def test_empty_parts_of_a_batch_have_their_shapes(open_ranks: Open) -> None:
    opened = open_ranks(3, "float32", source="digits")
    batch = next(iter(loaders(opened, batch_size=2)[2].epoch(0)))
    assert len(batch) == 0
    assert (batch.inputs.shape, batch.inputs.dtype) == ((0, 1, 8, 8), np.float32)
    assert (batch.targets.shape, batch.targets.dtype, batch.global_size) == ((0,), np.int64, 2)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_data_read_on_demand_equals_data_prepared_beforehand(
    open_ranks: Open, archive: str, partition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"source": "npy", "path": archive, "partition": partition}
    prepared = [list(loader.epoch(1)) for loader in loaders(open_ranks(3, **settings))]
    monkeypatch.setattr(opening, "PREPARED_BYTES", 0)
    demanded = [list(loader.epoch(1)) for loader in loaders(open_ranks(3, **settings))]
    for batches, others in zip(prepared, demanded, strict=True):
        for batch, other in zip(batches, others, strict=True):
            np.testing.assert_array_equal(batch.inputs, other.inputs)
            np.testing.assert_array_equal(batch.targets, other.targets)


def test_an_error_of_the_reader_reaches_the_trainer(open_ranks: Open, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(4):
            image.new("L", (5, 4)).save(tmp_path / name / f"{number}.png")
    opened = open_ranks(1, source="images", path=str(tmp_path), normalize="none", test_fraction=0.0)
    (tmp_path / "b" / "2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b/2.png cannot be read as an image"):
        list(loaders(opened)[0].epoch(0))


@pytest.mark.parametrize("num_parts", [1, 3, 8])
def test_a_batch_in_parts_is_cut_alike_at_any_world_size(open_ranks: Open, archive: str, num_parts: int) -> None:
    """Each rank has some parts in a row; to cut what it has gives these parts, also where they differ in size."""

    def parts(size: int) -> list[list[list[int]]]:
        opened = open_ranks(size, source="npy", path=archive)
        cut = []
        for rank, loader in enumerate(loaders(opened, num_parts=num_parts)):
            mine = range(num_parts)[block(num_parts, size, rank)]
            cut.append([[part.ids.tolist() for part in batch.split(len(mine))] for batch in loader.epoch(0)])
        return [[part for its in of_ranks for part in its] for of_ranks in zip(*cut, strict=True)]

    assert [sum(map(len, batch)) for batch in parts(1)] == [7, 7, 7, 4]
    assert parts(1) == parts(3) == parts(5)


@pytest.mark.parametrize("num_parts", [1, 3])
def test_an_evaluation_in_parts_sees_each_sample_once(open_ranks: Open, archive: str, num_parts: int) -> None:
    opened = open_ranks(2, source="npy", path=archive)
    seen = [batch.ids for loader in loaders(opened, num_parts=num_parts) for batch in loader.evaluation(7)]
    assert sorted(np.concatenate(seen).tolist()) == list(range(25))
    assert max(map(len, seen)) == -(-7 // num_parts)
