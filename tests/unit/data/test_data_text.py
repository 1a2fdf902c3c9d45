"""Text, byte by byte."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.data import open as opening
from hpctrain.errors import DataError
from hpctrain.job.settings import Data

Open = Callable[..., Any]


@pytest.mark.parametrize("size", [1, 3, 20])
@pytest.mark.parametrize("prepared_bytes", [0, 2**20])
@pytest.mark.parametrize("partition", ["batch", "random"])
def test_a_folder_of_files(
    open_ranks: Open,
    everything: Open,
    tmp_path: Path,
    size: int,
    prepared_bytes: int,
    partition: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "PREPARED_BYTES", prepared_bytes)
    texts = [b"the quick brown fox", b"", b"jumps", b"\xff\x00 over the lazy dog"]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_bytes(text)
    (tmp_path / ".hidden").write_bytes(b"secret" * 9)
    opened = open_ranks(
        size, "float32", source="text", path=str(tmp_path), context=4, test_fraction=0.0, scale=9.0, partition=partition
    )
    _, inputs, targets = everything(opened)
    windows = [text[start : start + 5] for text in texts for start in range(0, len(text) - 4, 4)]
    assert [bytes(row.astype(np.uint8)) for row in inputs] == [window[:4] for window in windows]
    assert [bytes(row.astype(np.uint8)) for row in targets] == [window[1:] for window in windows]
    assert inputs.dtype == targets.dtype == np.int64
    train = opened[0].train
    assert (train.sample_shape, train.num_classes, train.num_outputs) == ((4,), 256, 256)


def test_every_byte_but_the_rest_is_predicted_once(open_one: Open, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(bytes(range(23)))
    opened = open_one(source="text", path=str(tmp_path / "t"), context=4)
    targets = np.concatenate([part.read(np.arange(len(part)))[1].ravel() for part in (opened.train, opened.test)])
    assert sorted(targets) == list(range(1, 21))


def test_more_files_than_may_be_open(open_one: Open, everything: Open, tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number:03}").write_bytes(bytes([number]) * 5)
    limits, next_descriptor = resource.getrlimit(resource.RLIMIT_NOFILE), os.dup(0)
    os.close(next_descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_descriptor + 50, limits[1]))
    try:
        _, inputs, _ = everything([open_one(source="text", path=str(tmp_path), context=4, test_fraction=0.0)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert inputs[:, 0].tolist() == list(range(100))


def test_ranks_with_different_files_are_refused(run_ranks: Open, tmp_path: Path) -> None:
    for rank in range(3):
        (tmp_path / str(rank)).write_bytes(b"0123456789" * (rank // 2 + 1))

    def open_own(rank: int, gather: Any) -> Any:
        data = Data(source="text", path=str(tmp_path / str(rank)), context=4)
        return opening.open_data(data, dtype="float32", rank=rank, size=3, gather=gather)

    with pytest.raises(DataError, match=r"rank 2 has 4 samples of .*/2 where rank 0 has 2 of .*/0"):
        run_ranks(3, open_own)


def test_bad_text(open_one: Open, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no files"):
        open_one(source="text", path=str(tmp_path))
    (tmp_path / "t").write_bytes(b"0123456789")
    with pytest.raises(DataError, match="its longest file has 10 bytes, and a sample needs 65"):
        open_one(source="text", path=str(tmp_path))
    with pytest.raises(DataError, match="has no names"):
        open_one(source="text", path=str(tmp_path), features=["a"])
