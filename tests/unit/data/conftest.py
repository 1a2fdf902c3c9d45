"""Ranks simulated by threads, and small ways of opening data as one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from hpctrain.data.batch import Batch
from hpctrain.data.loader import Loader
from hpctrain.data.open import OpenedData, open_data
from hpctrain.job.settings import Data


def run_ranks(size: int, work: Callable[[int, Callable[[Any], list[Any]]], Any]) -> list[Any]:
    """`work(rank, gather)` on each of `size` threads; the results in rank order, or the first rank's error.

    One rank runs at a time, as ranks share nothing: Python 3.11 before 3.11.8 fails now and then where several threads
    parse literals (cpython issue 106905), which NumPy does to read the header of a .npy file.
    """
    barrier, turn, values = threading.Barrier(size), threading.Lock(), [None] * size

    def one(rank: int) -> Any:
        def all_arrive() -> None:
            turn.release()
            try:
                barrier.wait()
            finally:
                turn.acquire()

        def gather(value: Any) -> list[Any]:
            values[rank] = value
            all_arrive()
            gathered = list(values)
            all_arrive()
            return gathered

        with turn:
            try:
                return work(rank, gather)
            except BaseException:
                barrier.abort()
                raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(one, rank) for rank in range(size)]
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]


def open_ranks(size: int, dtype: str = "float64", **settings: Any) -> list[OpenedData]:
    """The data as each rank opens it."""
    data = Data(**settings)
    return run_ranks(size, lambda rank, gather: open_data(data, dtype=dtype, rank=rank, size=size, gather=gather))


def open_one(dtype: str = "float64", **settings: Any) -> OpenedData:
    """The data as a world of one opens it."""
    return open_ranks(1, dtype, **settings)[0]


def everything(opened: list[OpenedData], part: str = "train") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, inputs and targets of an evaluation over all ranks, sorted by id."""
    batches: list[Batch] = []
    for rank, data in enumerate(opened):
        loader = Loader(
            getattr(data, part), batch_size=7, rank=rank, size=len(opened), seed=0, shuffle=True, prefetch=0
        )
        batches += loader.evaluation(5)
    ids, inputs, targets = (
        np.concatenate([getattr(batch, name) for batch in batches]) for name in ("ids", "inputs", "targets")
    )
    order = np.argsort(ids, kind="stable")
    return ids[order], inputs[order], targets[order]


@pytest.fixture(name="run_ranks")
def _run_ranks() -> Callable[..., list[Any]]:
    return run_ranks


@pytest.fixture(name="open_ranks")
def _open_ranks() -> Callable[..., list[OpenedData]]:
    return open_ranks


@pytest.fixture(name="open_one")
def _open_one() -> Callable[..., OpenedData]:
    return open_one


@pytest.fixture(name="everything")
def _everything() -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return everything
