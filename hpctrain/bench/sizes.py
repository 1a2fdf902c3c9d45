"""Sizes as people write them: 4, 64K, 1.5M; 4:256M for every power of two from the one to the other."""

from __future__ import annotations

import re

from hpctrain.errors import InputError

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def parse_sizes(text: str, itemsize: int = 4) -> tuple[int, ...]:
    """The sizes in "4:256M" (doubled from the first up to the last) or "4,64K,1M", rising.

    Raises InputError for what cannot be read, and for a size that is no whole number of elements of `itemsize` bytes.
    """
    if ":" in text:
        first, _, last = text.partition(":")
        low, high = _bytes(first), _bytes(last)
        sizes = {low << step for step in range(64) if low << step <= high}
    else:
        sizes = {_bytes(part) for part in text.split(",")}
    if not sizes:
        raise InputError(f'--sizes "{text}": the first size is larger than the last')
    for size in sizes:
        if size % itemsize:
            raise InputError(f"--sizes: {size} bytes are no whole number of elements of {itemsize} bytes")
    return tuple(sorted(sizes))


def words(num_bytes: float) -> str:
    """The number of bytes for people, to three digits: "640 B", "1.5 KiB", "16 MiB"."""
    unit = next((unit for unit in "GMK" if num_bytes >= _UNITS[unit]), "")
    return f"{num_bytes / _UNITS[unit]:.4g} {unit and unit + 'i'}B"


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    number = float(found[1]) * _UNITS[found[2].upper()] if found else 0
    if number < 1 or number % 1:
        raise InputError(f'--sizes: "{text}" is no number of bytes: write 4, 64K, 1M; several as 4:256M or 4,64K,1M')
    return int(number)
