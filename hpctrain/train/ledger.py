"""The ledger of a run: what its steps cost, and the summary that comes of it."""

from __future__ import annotations

import hashlib
import resource
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.errors import CommunicationError
from hpctrain.train.clock import SECTIONS
from hpctrain.train.engine import Arrays

KEPT_STEPS = 1000
"""Of a rank: enough to see how steps differ."""
_MOST_ROWS = 1 << 22  # of all ranks together: rank 0 takes some 100 MB for them, in however large a world
_WARM_UP_STEPS = 3


class Ledger:
    """Adds up the steps of this rank."""

    def __init__(self) -> None:
        self._step_seconds: list[float] = []
        self._section_seconds = dict.fromkeys(SECTIONS, 0.0)
        self._samples = 0
        self._newest: deque[list[float]] = deque(maxlen=KEPT_STEPS)  # seconds of each section

    def add(self, seconds: Mapping[str, float], samples: int) -> None:
        """One step: the seconds of its sections, and this rank's samples."""
        self._step_seconds.append(sum(seconds.values()))
        self._newest.append([seconds[name] for name in SECTIONS])
        for name, elapsed in seconds.items():
            self._section_seconds[name] += elapsed
        self._samples += samples

    def warm_up_seconds(self, group: Group) -> float:
        """What the first step took beyond a median one, on the rank where that is the most; never below 0. All ranks.

        After a few steps a median one may be a slow one: then there was no warming up that could be told from it.
        """
        mine = self._step_seconds
        return max(0.0, *group.comm.gather_objects(mine[0] - float(np.median(mine[1:])) if len(mine) > 1 else 0.0))

    def totals(self, group: Group) -> dict[str, Any]:
        """The part of summary.json that is counted, the same on every rank. All ranks.

        `step_seconds` are those of the slowest rank in each step; `breakdown_seconds` a step's mean over ranks;
        `train_seconds` those of all steps of the slowest rank, without what lies between them, e.g. evaluations.
        """
        # The first step pays for warming up, and would be the one that a mean remembers.
        steps = np.array(self._step_seconds[1:] or self._step_seconds or [0.0])
        group.all_reduce(steps, Op.MAX)
        sections = np.array([self._section_seconds[name] for name in SECTIONS]) / max(len(self._step_seconds), 1)
        group.all_reduce(sections, Op.MEAN)
        per_rank = group.comm.gather_objects((peak_rss_bytes(), group.traffic.bytes_sent))
        totals = group.comm.gather_objects((self._samples, sum(self._step_seconds)))
        samples, seconds = sum(samples for samples, _ in totals), max(seconds for _, seconds in totals)
        return {
            "samples_per_second": samples / seconds if seconds else 0.0,
            "train_seconds": seconds,
            "step_seconds": {"median": float(np.median(steps)), "p90": float(np.quantile(steps, 0.9))},
            "breakdown_seconds": dict(zip(SECTIONS, sections.tolist(), strict=True)),
            "peak_rss_bytes": [rss for rss, _ in per_rank],
            "bytes_sent": [sent for _, sent in per_rank],
        }

    def gather_steps(self, group: Group) -> dict[str, np.ndarray]:
        """Seconds of the newest steps by section, float32 (steps, ranks), on rank 0; nothing on others. All ranks.

        At most `KEPT_STEPS`, fewer in very large worlds; as many of each rank; and without the first ones, which warm
        up, where there are more.
        """
        cold = max(0, _WARM_UP_STEPS - (len(self._step_seconds) - len(self._newest)))
        mine = np.array(self._newest, np.float32).reshape(-1, len(SECTIONS))
        mine = mine[min(cold, max(len(mine) - 1, 0)) :]
        length = min([*group.comm.gather_objects(len(mine)), max(1, _MOST_ROWS // group.size)])
        if not length:
            return {}
        mine = mine[-length:]
        if group.rank:
            group.send(mine, 0)
            return {}
        ranks = [mine, *(group.recv(np.empty_like(mine), rank) for rank in range(1, group.size))]
        return dict(zip(SECTIONS, np.stack(ranks).transpose(2, 1, 0), strict=True))


def peak_rss_bytes() -> int:
    """The most memory that this process has held at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def weights_sha256(group: Group, weights: Arrays) -> str:
    """The hash of all weights, names included. All ranks.

    Raises CommunicationError, on every rank, where ranks hold different weights.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].dtype} {weights[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    digests = group.comm.gather_objects(digest.hexdigest())
    if different := [rank for rank, other in enumerate(digests) if other != digests[0]]:
        raise CommunicationError(f"ranks ended with different weights: {different[:10]} differ from rank 0")
    return digests[0]
