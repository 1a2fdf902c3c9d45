"""Proportional memory (Pss): a page that n processes map counts as 1/n in each, so that processes add up to the node.

Linux says it for each mapping in /proc/self/smaps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SMAPS = Path("/proc/self/smaps")


@dataclass(frozen=True)
class Mapping:
    """Addresses from `start` to before `end`, and the proportional bytes of memory behind them."""

    start: int
    end: int
    pss: int


def mappings(smaps: Path = SMAPS) -> list[Mapping]:
    """Those of this process."""
    found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*?^Pss: +(\d+) kB$", smaps.read_text(), re.MULTILINE | re.DOTALL)
    return [Mapping(int(start, 16), int(end, 16), 1024 * int(pss)) for start, end, pss in found]


def total(maps: Iterable[Mapping]) -> int:
    """Bytes of all of them."""
    return sum(mapping.pss for mapping in maps)


def share(maps: Sequence[Mapping], ranges: Iterable[tuple[int, int]]) -> float:
    """Bytes of some ranges, each an address and a length. A range gets of a mapping's Pss what it covers of it."""
    return sum(
        mapping.pss
        * max(0, min(mapping.end, start + length) - max(mapping.start, start))
        / (mapping.end - mapping.start)
        for start, length in ranges
        for mapping in maps
    )
