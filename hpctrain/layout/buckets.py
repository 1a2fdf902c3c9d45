"""Buckets: which parameters travel together, and where each lies in the flat array that travels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One parameter, as far as buckets care."""

    name: str
    size: int  # elements
    itemsize: int  # bytes of an element
    kind: str  # dtype and device: only parameters of one kind share a bucket


@dataclass(frozen=True)
class Slot:
    """Where a parameter lies in its bucket: elements `start` to `stop`. `index` is its place among all parameters."""

    index: int
    start: int
    stop: int


def cut_buckets(entries: Sequence[Entry], bucket_bytes: int) -> list[list[Slot]]:
    """Cut parameters into buckets of about `bucket_bytes`, each of one kind and of at least one parameter.

    Parameters are taken from the last to the first, because backward makes their gradients in that order: the first
    bucket is the first that is full. A parameter is never split. Every parameter is in exactly one bucket.
    """
    buckets: list[list[Slot]] = []
    open_buckets: dict[str, list[Slot]] = {}
    for index in reversed(range(len(entries))):
        entry = entries[index]
        bucket = open_buckets.get(entry.kind)
        if bucket is None or (bucket[-1].stop + entry.size) * entry.itemsize > bucket_bytes:
            bucket = open_buckets[entry.kind] = []
            buckets.append(bucket)
        start = bucket[-1].stop if bucket else 0
        bucket.append(Slot(index, start, start + entry.size))
    return buckets
