"""Fragments: parts of a model of about the same size, of whole parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from hpctrain.parallel.trainable import Places


@dataclass(frozen=True)
class Part:
    """Neighbouring parameters of one bucket.

    Attributes:
        bucket: its number.
        start, stop: elements of the bucket.
        places: of each parameter, where it starts, counted from `start`, and its shape.
    """

    bucket: int
    start: int
    stop: int
    places: Places


def cut_fragments(buckets: Sequence[Places], num_fragments: int) -> list[list[Part]]:
    """The parts of each fragment; every parameter of the buckets is in exactly one part.

    Parameters are taken in the order in which they lie. No fragment is longer than the model over `num_fragments` and
    one parameter; where parameters are few or of very different sizes, some fragments are empty.
    """
    total = sum(prod(shape) for places in buckets for _, shape in places)
    fragments: list[list[Part]] = [[] for _ in range(num_fragments)]
    done = 0
    for number, places in enumerate(buckets):
        found: dict[int, list[tuple[int, Sequence[int]]]] = {}
        for start, shape in places:
            middle = 2 * done + prod(shape)  # of the parameter, in half elements
            found.setdefault(min(middle * num_fragments // max(2 * total, 1), num_fragments - 1), []).append(
                (start, shape)
            )
            done += prod(shape)
        for fragment, its in found.items():
            fragments[fragment].append(_part(number, its))
    return fragments


def _part(bucket: int, places: Places) -> Part:
    start, (last, shape) = places[0][0], places[-1]
    return Part(bucket, start, last + prod(shape), [(place - start, its) for place, its in places])
