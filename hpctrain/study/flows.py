"""Messages that share links: an event-driven model of flows, in arrays.

Every message is a flow over a route of links. At any moment rates are max-min fair: no flow can have more without one
that has no more than it getting less. They change only when a flow starts or ends, so time goes from one such event to
the next, and flows that start or end together are one event.

Bertsekas and Gallager, "Data networks", 2nd edition (1992), section 6.5.2; Casanova et al., "Versatile, scalable, and
accurate simulation of distributed applications and platforms" (SimGrid), JPDC 74 (2014), on how good flows are for TCP.
"""

from __future__ import annotations

import numpy as np

EXACT = 1e-9
"""A share of a time: what is as near as that is together."""


def fair_rates(routes: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """Bytes a second of each flow.

    Links whose share is the least on all routes through them are full. All of these are found at the same time, which
    gives the same rates as one after the other: what is taken off them leaves no other link with less for each.

    Args:
        routes: (flows, links on the longest route), numbers of links; shorter routes are filled up with the number of
            a link of infinite capacity. Each flow passes at least one link that is finite.
        capacity: bytes a second of each link.
    """
    rates = np.zeros(len(routes))
    left = capacity.copy()
    pending = np.arange(len(routes))
    while pending.size:
        on = routes[pending]
        width = on.shape[1]
        num_flows = np.bincount(on.ravel(), minlength=len(capacity))
        share = np.where(num_flows, left / np.maximum(num_flows, 1), np.inf)
        offer = share[on].min(axis=1)
        least = np.full(len(capacity), np.inf)
        np.minimum.at(least, on.ravel(), np.repeat(offer, width))
        full = np.isfinite(share) & (least >= share * (1 - EXACT))
        settled = full[on].any(axis=1)
        rates[pending[settled]] = offer[settled]
        taken = np.bincount(on[settled].ravel(), np.repeat(offer[settled], width), minlength=len(capacity))
        left = np.maximum(left - taken, 0.0)
        pending = pending[~settled]
    return rates


class Flows:
    """Messages under way, and the time."""

    def __init__(self, routes: np.ndarray, capacity: np.ndarray, num_bytes: np.ndarray, grain: float = EXACT) -> None:
        """None has started, and it is 0 o'clock.

        Args:
            routes, capacity: see `fair_rates`.
            num_bytes: of each flow.
            grain: flows that end within this share of the time from each other are one event. What they leave is free
                so much too late; where thousands end at times of their own there are then hundreds of events.
        """
        self.now = 0.0
        self._grain = grain
        self._routes = routes
        self._capacity = capacity
        self._left = num_bytes.astype(float)
        self._starts = np.full(len(routes), np.inf)
        self._open = np.zeros(len(routes), bool)

    @property
    def under_way(self) -> bool:
        """Whether some flow has been started and has not ended."""
        return bool(self._open.any())

    def start(self, flows: np.ndarray, at: np.ndarray) -> None:
        """The bytes of these flows begin to move at these times, not before now."""
        self._starts[flows] = at
        self._open[flows] = True

    def advance(self) -> np.ndarray:
        """Go to the next time at which a flow begins to move or ends: the flows that have ended by then."""
        known = np.flatnonzero(self._open)
        starts = self._starts[known]
        moving: np.ndarray = known[starts <= self.now * (1 + EXACT)]
        later = starts[starts > self.now * (1 + EXACT)]
        until = later.min(initial=np.inf)
        if not moving.size:
            self.now = float(until)
            return moving
        rates = fair_rates(self._routes[moving], self._capacity)
        takes = self._left[moving] / rates
        first, horizon = takes.min(), until - self.now
        if first > horizon:
            self._left[moving] -= rates * horizon
            self.now = float(until)
            return moving[:0]
        together = takes <= min(first + self._grain * (self.now + first), horizon)
        span = takes[together].max()
        self._left[moving] = np.maximum(self._left[moving] - rates * span, 0.0)
        self.now += float(span)
        ended: np.ndarray = moving[together]
        self._open[ended] = False
        return ended
