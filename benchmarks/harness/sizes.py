"""Sizes of messages, as people write them: 4 B, 64 KiB, 16 MiB."""

from __future__ import annotations

import argparse
import re

_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def bytes_of(size: str) -> int:
    """The number of bytes in "64 KiB", "64KiB" or "65536"; raises ArgumentTypeError for what is none of these."""
    found = re.fullmatch(r"(\d+) ?(B|KiB|MiB|GiB)?", size.strip())
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f'"{size}" is no size: write 4, 64KiB or 1MiB')
    return int(found[1]) * _UNITS[found[2] or "B"]


def size_of(num_bytes: int) -> str:
    """The other way round, in the largest unit that leaves a whole number."""
    unit = max((unit for unit in _UNITS if num_bytes % _UNITS[unit] == 0), key=_UNITS.__getitem__)
    return f"{num_bytes // _UNITS[unit]} {unit}"


def float32_sizes(text: str) -> list[int]:
    """Sizes in bytes of arrays of float32, comma-separated."""
    sizes = [bytes_of(part) for part in text.split(",")]
    odd = [size for size in sizes if size % 4]
    if odd:
        raise argparse.ArgumentTypeError(f"{odd[0]} bytes are no whole number of float32")
    return sizes
