"""How long a schedule takes on a network, by events: messages start, share links, and end.

`simulate` takes one step after the other, as the closed forms of `collectives/cost.py` do: a step is over when its
slowest message has arrived. It is one array operation for each event, whatever the number of ranks, and a step that
is taken many times is simulated once; so it is for large worlds. 65,536 ranks take seconds on one core, and most of a
minute where routes are irregular and every message ends at a time of its own (`_GRAIN`).

`replay` has no common steps: a rank goes on as soon as its own messages of a step are done, so messages of different
steps meet on links, and ranks may begin at different times. It follows every message, and is for thousands of them.
Where all ranks are alike the two agree; elsewhere either may be the longer one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hpctrain.errors import SettingsError
from hpctrain.study.flows import EXACT, Flows
from hpctrain.study.network import Network
from hpctrain.study.schedules import Step

_MANY = (
    10_000  # messages of a step: of more, those are one event that end within this share of the time from each other
)
_GRAIN = 0.01  # times come out longer by about as much


@dataclass(frozen=True)
class Simulated:
    """What a schedule took.

    Attributes:
        seconds: all steps, one after the other.
        steps: how many there were.
        messages: how many were sent.
        bytes_sent: their bytes.
        busiest_link_bytes: most that went over one link.
    """

    seconds: float
    steps: float
    messages: float
    bytes_sent: float
    busiest_link_bytes: float


def simulate(schedule: Iterable[Step], network: Network) -> Simulated:
    """Take the steps one after the other.

    Raises SettingsError for a rank that the network does not have.
    """
    seconds = steps = messages = bytes_sent = 0.0
    loads = np.zeros(len(network.capacity))
    for step in schedule:
        _check(step, network)
        routes, latency = network.routes(step.sources, step.dests)
        seconds += step.times * _duration(routes, latency, step.num_bytes, network)
        steps += step.times
        messages += step.times * len(step.sources)
        bytes_sent += step.times * float(step.num_bytes.sum())
        weights = np.repeat(step.times * step.num_bytes, routes.shape[1])
        loads += np.bincount(routes.ravel(), weights, minlength=len(loads))
    return Simulated(seconds, steps, messages, bytes_sent, float(loads[:-1].max(initial=0.0)))


def _duration(routes: np.ndarray, latency: np.ndarray, num_bytes: np.ndarray, network: Network) -> float:
    flows = Flows(routes, network.capacity, num_bytes, _GRAIN if len(routes) > _MANY else EXACT)
    flows.start(np.arange(len(routes)), latency)
    while flows.under_way:
        flows.advance()
    return flows.now


def replay(schedule: Iterable[Step], network: Network, ready: np.ndarray | None = None) -> np.ndarray:
    """Seconds at which each rank is done, float64.

    A message starts when its source and its dest have done all that is theirs in earlier steps.

    Args:
        schedule: its steps are taken a whole number of times.
        network: on which.
        ready: seconds at which each rank begins; all at 0 where it is not given.

    Raises SettingsError for a rank that the network does not have.
    """
    steps = [step for step in schedule for _ in range(round(step.times))]
    for step in steps:
        _check(step, network)
    free = np.zeros(network.num_ranks) if ready is None else ready.astype(float)
    if not steps:
        return free
    number = np.repeat(np.arange(len(steps)), [len(step.sources) for step in steps])
    sources, dests = (np.concatenate([getattr(step, end) for step in steps]) for end in ("sources", "dests"))
    routes, latency = network.routes(sources, dests)
    flows = Flows(routes, network.capacity, np.concatenate([step.num_bytes for step in steps]))
    left = np.zeros((network.num_ranks, len(steps)), np.int64)  # messages of a rank in a step
    np.add.at(left, (sources, number), 1)
    np.add.at(left, (dests, number), 1)
    waiting = np.ones(len(number), bool)
    while True:
        at = np.where(left.any(axis=1), (left > 0).argmax(axis=1), len(steps))  # the step that each rank is in
        begin = np.flatnonzero(waiting & (at[sources] == number) & (at[dests] == number))
        waiting[begin] = False
        flows.start(begin, np.maximum(free[sources[begin]], free[dests[begin]]) + latency[begin])
        if not flows.under_way:
            return free
        ended = flows.advance()
        for ends in (sources[ended], dests[ended]):
            np.subtract.at(left, (ends, number[ended]), 1)
            free[ends] = np.maximum(free[ends], flows.now)


def _check(step: Step, network: Network) -> None:
    last = int(max(step.sources.max(initial=0), step.dests.max(initial=0)))
    if last >= network.num_ranks:
        raise SettingsError(f"the schedule has a rank {last}, and the network has {network.num_ranks} ranks, from 0")
