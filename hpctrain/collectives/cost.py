"""What each algorithm costs: steps, messages and bytes, in closed form.

Arithmetic alone: nothing is sent. A test holds the numbers of `cost` equal to those of a `TracingCommunicator`, whose
module says what a step is. `predict` puts a time on the slowest rank in the alpha-beta model of Hockney ("The
communication challenge for MPP", Parallel Computing 20, 1994): a step costs alpha seconds and each byte that it carries
beta; ranks send and receive at the same time, one message each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hpctrain.collectives.partners import children, hypercube, parent, power_of_two, steps_to_reach, swing
from hpctrain.collectives.segments import SEGMENT_BYTES, num_segments
from hpctrain.layout.blocks import blocks


@dataclass(frozen=True)
class Cost:
    """What a collective costs one rank.

    Attributes:
        steps: the step in which this rank is done.
        messages: how many it sends.
        bytes_sent: their bytes.
    """

    steps: int
    messages: int
    bytes_sent: int


@dataclass(frozen=True)
class Path:
    """What the slowest rank has to wait for, one after another: steps, bytes on the way, bytes summed."""

    steps: int
    bytes_carried: float
    bytes_summed: float = 0.0

    def seconds(self, alpha: float, beta: float, gamma: float = 0.0) -> float:
        """With alpha seconds a step, beta a byte carried and gamma a byte summed."""
        return alpha * self.steps + beta * self.bytes_carried + gamma * self.bytes_summed


@dataclass(frozen=True)
class Model:
    """The cost of one algorithm.

    Attributes:
        of_rank: (rank, size, length, itemsize) to the cost on that rank, for a buffer of `length` elements; where an
            algorithm works on a block for each rank, those of `layout.blocks`, and for broadcasts with rank 0 as root.
        slowest: (size, num_bytes) to the path of the slowest rank, where blocks are even.
    """

    of_rank: Callable[[int, int, int, int], Cost]
    slowest: Callable[[int, float], Path]


def cost(name: str, rank: int, size: int, length: int, itemsize: int) -> Cost:
    """What algorithm `name` costs rank `rank` of `size`, for a buffer of `length` elements of `itemsize` bytes."""
    return MODELS[name].of_rank(rank, size, length, itemsize)


def predict(name: str, size: int, num_bytes: float, alpha: float, beta: float, gamma: float = 0.0) -> float:
    """Seconds until the slowest of `size` ranks is done with algorithm `name` on a buffer of `num_bytes`.

    Args:
        name: a key of `MODELS`.
        size: number of ranks.
        num_bytes: the whole buffer; for all_gather and all_to_all all blocks of a rank together.
        alpha: seconds a step.
        beta: seconds a byte sent.
        gamma: seconds a byte summed.
    """
    return MODELS[name].slowest(size, num_bytes).seconds(alpha, beta, gamma)


def reduce_scatter(rank: int, lengths: Sequence[int], itemsize: int) -> Cost:
    """The ring reduce-scatter of blocks of these lengths, one for each rank."""
    return _all_but(rank, lengths, itemsize)


def all_gather(rank: int, lengths: Sequence[int], itemsize: int) -> Cost:
    """The ring all-gather of blocks of these lengths, one for each rank."""
    return _all_but((rank + 1) % len(lengths), lengths, itemsize)


def all_to_all(rank: int, lengths: Sequence[int], itemsize: int) -> Cost:
    """The pairwise exchange of a rank whose outgoing blocks have these lengths."""
    others = len(lengths) - 1
    return Cost(others, others, (sum(lengths) - lengths[rank]) * itemsize)


def _all_but(one: int, lengths: Sequence[int], itemsize: int) -> Cost:
    """Every block is passed on in a step of its own, but `one`."""
    passed = [length for place, length in enumerate(lengths) if place != one]
    return Cost(len(passed), sum(num_segments(length, itemsize) for length in passed), sum(passed) * itemsize)


def _even(blockwise: Callable[[int, Sequence[int], int], Cost]) -> Callable[[int, int, int, int], Cost]:
    """For a buffer that is cut into as even blocks as can be."""

    def of_rank(rank: int, size: int, length: int, itemsize: int) -> Cost:
        return blockwise(rank, [cut.stop - cut.start for cut in blocks(length, size)], itemsize)

    return of_rank


def _naive(rank: int, size: int, length: int, itemsize: int) -> Cost:
    others = size - 1
    if rank == 0:
        return Cost(2 * others, others, others * length * itemsize)
    return Cost(others + rank, 1, length * itemsize)


def _ring(rank: int, size: int, length: int, itemsize: int) -> Cost:
    first = _even(reduce_scatter)(rank, size, length, itemsize)
    second = _even(all_gather)(rank, size, length, itemsize)
    return Cost(first.steps + second.steps, first.messages + second.messages, first.bytes_sent + second.bytes_sent)


def _folded(core: Callable[[int, int, int, int], Cost]) -> Callable[[int, int, int, int], Cost]:
    """With the ranks beyond a power of two folded into the first ones (`all_reduce/fold.py`)."""

    def of_rank(rank: int, size: int, length: int, itemsize: int) -> Cost:
        core_size = power_of_two(size)
        inside = core(rank % core_size, core_size, length, itemsize)
        if rank >= core_size:
            return Cost(inside.steps + 2, 1, length * itemsize)
        has_partner = rank + core_size < size
        return Cost(
            inside.steps + (size > core_size) + has_partner,
            inside.messages + has_partner,
            inside.bytes_sent + has_partner * length * itemsize,
        )

    return of_rank


def _recursive_doubling(rank: int, size: int, length: int, itemsize: int) -> Cost:
    steps = steps_to_reach(size)
    return Cost(steps, steps, steps * length * itemsize)


def _halving(exchange: Callable[[int, int], list[tuple[int, bool]]]) -> Callable[[int, int, int, int], Cost]:
    """Halves are given away, and pieces handed on when doubling (`all_reduce/halving.py`)."""

    def of_rank(rank: int, size: int, length: int, itemsize: int) -> Cost:
        steps, sent, kept = 0, 0, length
        for _, keeps_low in exchange(rank, size):
            low = kept // 2
            given, kept = (kept - low, low) if keeps_low else (low, kept - low)
            steps, sent = steps + 2, sent + given + kept
        return Cost(steps, steps, sent * itemsize)

    return of_rank


def _tree(rank: int, size: int, length: int, itemsize: int) -> Cost:
    below = len(children(rank, size))
    messages = below + (rank > 0)
    return Cost(steps_to_reach(size) + _served(rank, size) + below, messages, messages * length * itemsize)


def _binomial(rank: int, size: int, length: int, itemsize: int) -> Cost:
    below = len(children(rank, size))
    return Cost(_served(rank, size) + below, below, below * length * itemsize)


def _served(place: int, size: int) -> int:
    """The step of a binomial broadcast in which `place` gets the numbers; 0 for the root."""
    if place == 0:
        return 0
    return _served(parent(place), size) + children(parent(place), size).index(place) + 1


def _chain(rank: int, size: int, length: int, itemsize: int) -> Cost:
    passes_on = rank + 1 < size
    return Cost(rank + passes_on, passes_on * num_segments(length, itemsize), passes_on * length * itemsize)


def _barrier(rank: int, size: int, length: int, itemsize: int) -> Cost:
    steps = steps_to_reach(size)
    return Cost(steps, steps, 0)


def _folded_path(core: Callable[[int, float], Path]) -> Callable[[int, float], Path]:
    def slowest(size: int, num_bytes: float) -> Path:
        inside = core(power_of_two(size), num_bytes)
        folds = size > power_of_two(size)
        return Path(
            inside.steps + 2 * folds,
            inside.bytes_carried + 2 * folds * num_bytes,
            inside.bytes_summed + folds * num_bytes,
        )

    return slowest


def _halving_path(size: int, num_bytes: float) -> Path:
    others = (size - 1) / size
    return Path(2 * steps_to_reach(size), 2 * others * num_bytes, others * num_bytes)


def _chain_path(size: int, num_bytes: float) -> Path:
    """The first segment goes all the way; behind it the others arrive one after another, where there is a way."""
    first = min(num_bytes, SEGMENT_BYTES)
    return Path(size - 1, (size - 1) * first + (num_bytes - first) * (size > 1))


MODELS: Mapping[str, Model] = {
    "naive": Model(_naive, lambda p, n: Path(2 * (p - 1), 2 * (p - 1) * n, (p - 1) * n)),
    "ring": Model(_ring, lambda p, n: Path(2 * (p - 1), 2 * (p - 1) / p * n, (p - 1) / p * n)),
    "recursive_doubling": Model(
        _folded(_recursive_doubling),
        _folded_path(lambda p, n: Path(steps_to_reach(p), steps_to_reach(p) * n, steps_to_reach(p) * n)),
    ),
    "rabenseifner": Model(_folded(_halving(hypercube)), _folded_path(_halving_path)),
    "swing": Model(_folded(_halving(swing)), _folded_path(_halving_path)),
    "tree": Model(_tree, lambda p, n: Path(2 * steps_to_reach(p), 2 * steps_to_reach(p) * n, steps_to_reach(p) * n)),
    "reduce_scatter": Model(_even(reduce_scatter), lambda p, n: Path(p - 1, (p - 1) / p * n, (p - 1) / p * n)),
    "all_gather": Model(_even(all_gather), lambda p, n: Path(p - 1, (p - 1) / p * n)),
    "all_to_all": Model(_even(all_to_all), lambda p, n: Path(p - 1, (p - 1) / p * n)),
    "broadcast_binomial": Model(_binomial, lambda p, n: Path(steps_to_reach(p), steps_to_reach(p) * n)),
    "broadcast_chain": Model(_chain, _chain_path),
    "barrier": Model(_barrier, lambda p, n: Path(steps_to_reach(p), 0)),
}
"""By name: those of `all_reduce.ALGORITHMS` that use messages alone, and the other collectives."""
