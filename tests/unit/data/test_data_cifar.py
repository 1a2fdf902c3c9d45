"""CIFAR's binary files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.errors import DataError

Open = Callable[..., Any]


def records(count: int, labels: list[int], seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3072)).astype(np.uint8)
    return np.column_stack([np.tile(np.array(labels, np.uint8), (count, 1)), pixels])


def test_cifar_10(open_ranks: Open, everything: Open, tmp_path: Path) -> None:
    batches = [records(4, [batch], batch) for batch in range(1, 4)]
    for number, batch in enumerate(batches, 1):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(batch.tobytes())
    (tmp_path / "test_batch.bin").write_bytes(records(2, [9]).tobytes())
    opened = open_ranks(3, source="cifar", path=str(tmp_path), test_path=str(tmp_path), normalize="none")
    _, inputs, targets = everything(opened)
    np.testing.assert_array_equal(inputs, np.concatenate(batches)[:, 1:].reshape(12, 3, 32, 32))
    assert targets.tolist() == [1] * 4 + [2] * 4 + [3] * 4
    assert everything(opened, "test")[2].tolist() == [9, 9]
    assert opened[0].train.num_classes == 10


@pytest.mark.parametrize(("target", "classes", "label"), [("", 100, 57), ("fine", 100, 57), ("coarse", 20, 13)])
def test_cifar_100(open_one: Open, tmp_path: Path, target: str, classes: int, label: int) -> None:
    (tmp_path / "train.bin").write_bytes(records(5, [13, 57]).tobytes())
    train = open_one(source="cifar", path=str(tmp_path), target=target).train
    assert (train.num_classes, train.sample_shape) == (classes, (3, 32, 32))
    assert train.read(np.arange(2))[1].tolist() == [label, label]


def test_bad_files(open_ranks: Open, tmp_path: Path) -> None:
    file = tmp_path / "data_batch_1.bin"
    settings = {"source": "cifar", "path": str(tmp_path)}
    with pytest.raises(DataError, match=r"holds no data_batch_\*.bin or train.bin: the binary version"):
        open_ranks(2, **settings)
    file.write_bytes(records(3, [1]).tobytes()[:-100])
    with pytest.raises(DataError, match=r"data_batch_1.bin has 9,119 bytes: no whole number of records of 3,073 bytes"):
        open_ranks(2, **settings)
    file.write_bytes(b"")
    with pytest.raises(DataError, match=r"data_batch_1.bin has 0 bytes"):
        open_ranks(2, **settings)
    file.write_bytes(records(3, [200]).tobytes())
    with pytest.raises(DataError, match="has a label 200 of 10 classes; it is damaged"):
        open_ranks(2, **settings)
    with pytest.raises(DataError, match="is CIFAR-10, which has one kind of label"):
        open_ranks(2, target="coarse", **settings)
    with pytest.raises(DataError, match=r'data.target = "fine" or "coarse"'):
        open_ranks(2, target="label", **settings)
    (tmp_path / "data_batch_2.bin").write_bytes(records(3, [1, 2]).tobytes())
    with pytest.raises(DataError, match=r"mixes CIFAR-10 and CIFAR-100: data_batch_1.bin, data_batch_2.bin"):
        open_ranks(2, **settings)
