"""Compressors over the real collectives, in a world whose ranks are threads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.all_to_all import all_to_all
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.metered import MeteredCommunicator, Traffic
from hpctrain.comm.operation import Op
from hpctrain.compress.build import build_compressor
from hpctrain.compress.compressor import Compressor
from hpctrain.compress.error_feedback import ErrorFeedback

sys.path.insert(0, str(Path(__file__).parents[1] / "collectives"))
from threads_world import run

LOSSY = ["fp16", "bf16", "int8", "sign", "top_k", "random_k", "powersgd"]
NAMES = ["none", *LOSSY]
LENGTHS = [0, 1, 7, 8, 255, 256, 257, 1023, 1024, 1025, 2500]


class Rings:
    """Implements `Ranks` as a synchroniser would, and counts bytes."""

    def __init__(self, comm: Communicator) -> None:
        self.traffic = Traffic()
        self._comm = MeteredCommunicator(comm, self.traffic)
        self.rank = comm.rank
        self.size = comm.size

    def mean(self, array: np.ndarray) -> None:
        ring(self._comm, array, Op.MEAN)

    def all_gather(self, parts: Sequence[np.ndarray]) -> None:
        all_gather(self._comm, parts)

    def all_to_all(self, outgoing: Sequence[np.ndarray], incoming: Sequence[np.ndarray]) -> None:
        all_to_all(self._comm, outgoing, incoming)


def build(name: str, length: int, dtype: str = "float32", **settings: float) -> Compressor:
    """With a matrix in the middle of the bucket, if it is long enough."""
    parameters = [(0, (length,))] if length < 1000 else [(3, (20, 30)), (603, (length - 603,))]
    return build_compressor(
        name, **({"dtype": np.dtype(dtype), "ratio": 0.05, "parameters": parameters, "seed": 3} | settings)
    )


def averages(make: Callable[[], Compressor], steps: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, int]:
    """Each step an array (ranks, length): with error feedback, the means (steps, ranks, length), the last residuals
    (ranks, length), and the bytes that all ranks together sent."""

    def work(comm: Communicator) -> tuple[np.ndarray, np.ndarray, int]:
        ranks = Rings(comm)
        feedback = ErrorFeedback(make(), steps[0].shape[1], steps[0].dtype)
        means = [step[comm.rank].copy() for step in steps]
        for mean in means:
            feedback.average(mean, ranks)
        return np.array(means), feedback.state()["residual"], ranks.traffic.bytes_sent

    found = run(steps[0].shape[0], work)
    means, residuals, num_bytes = zip(*found, strict=True)
    return np.stack(means, axis=1), np.array(residuals), sum(num_bytes)


def gradients(*shape: int, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def decoded(compressor: Compressor, values: np.ndarray) -> np.ndarray:
    target = np.zeros_like(values)
    compressor.add(compressor.encode(values), target)
    return target
