"""The strategy that a cost model knows, from the settings of a job and what its run said of itself."""

from __future__ import annotations

import numpy as np

from hpctrain.compress.build import build_compressor
from hpctrain.errors import SettingsError
from hpctrain.job.settings import Job, Parallel
from hpctrain.study.strategy import ALGORITHMS, Strategy

_LONG = 1 << 20  # numbers: what a compressor sends of so many is what it sends of any model, but for its heads


def strategy_of(job: Job, gradient_sync: str, several_nodes: bool) -> Strategy:
    """What a run did.

    Args:
        job: its settings.
        gradient_sync: as summary.json has it: only the run knows whether its ranks could share memory.
        several_nodes: whether it was spread over some: gradients then travel while backward runs.

    Raises SettingsError for what no cost model knows yet.
    """
    parallel = job.parallel
    if reason := _why_not_known(job):
        raise SettingsError(f"no cost model knows {reason}")
    share, summable = _sent_share(parallel, job.training.dtype)
    shared = gradient_sync.startswith("node_shared")
    return Strategy(
        parallel.strategy,
        algorithm="hierarchical" if shared else _algorithm(job) if summable else "gathered",
        shard=parallel.shard,
        num_servers=parallel.num_servers,
        consistency=parallel.consistency,
        topology=parallel.topology,
        sync_every=parallel.sync_every,
        sent_share=share * (2 if parallel.gossip == "gradient_tracking" else 1),
        overlaps=parallel.overlap or parallel.shard in ("gradients", "parameters") or (shared and several_nodes),
    )


def _why_not_known(job: Job) -> str:
    parallel = job.parallel
    if job.training.reproducible:
        return "training.reproducible=true, which adds up in an order of its own"
    if parallel.dedicated_servers:
        return "parallel.dedicated_servers=true: ranks that only serve"
    if parallel.mixing_matrix:
        return "graphs from a file (parallel.mixing_matrix)"
    if parallel.compression == "powersgd":
        return "powersgd, which sends what the shapes of the matrices ask for"
    return ""


def _algorithm(job: Job) -> str:
    """Of the all-reduce. What the library or "auto" does for long arrays is taken to be the best."""
    return job.comm.algorithm if job.comm.algorithm in ALGORITHMS else "hierarchical"


def _sent_share(parallel: Parallel, dtype: str) -> tuple[float, bool]:
    """Bytes sent for each byte of gradients, and whether ranks can sum what is sent on its way."""
    numbers: np.dtype = np.dtype(dtype)
    compressor = build_compressor(parallel.compression, dtype=numbers, ratio=parallel.compression_ratio)
    return compressor.payload_bytes(_LONG, numbers.itemsize) / (_LONG * numbers.itemsize), compressor.reducible
