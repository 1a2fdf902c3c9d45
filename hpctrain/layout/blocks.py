"""Cutting a length into contiguous blocks, as even as they can be."""


def block(length: int, parts: int, index: int) -> slice:
    """The `index`-th of `parts` contiguous blocks of `range(length)`.

    The first `length % parts` blocks hold one element more, so sizes differ by at most one; blocks may be empty.

    Raises ValueError unless 0 <= index < parts and length >= 0.
    """
    if not 0 <= index < parts or length < 0:
        raise ValueError(f"no block {index} of {parts} in a length of {length}")
    size, longer = divmod(length, parts)
    start = index * size + min(index, longer)
    return slice(start, start + size + (index < longer))


def blocks(length: int, parts: int) -> list[slice]:
    """All `parts` blocks of `range(length)`, in order; together they are exactly `range(length)`."""
    return [block(length, parts, index) for index in range(parts)]


def aligned_blocks(length: int, parts: int, grain: int) -> list[slice]:
    """As `blocks`, but each begins at a multiple of `grain`, e.g. of the elements of a page; the last ends anywhere."""
    return [
        slice(min(cut.start * grain, length), min(cut.stop * grain, length))
        for cut in blocks(-(-length // grain), parts)
    ]
