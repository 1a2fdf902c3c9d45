"""Sets of ranks in a few letters: "0-2,5" for 0, 1, 2 and 5; "0-12:4" for 0, 4, 8 and 12."""

from __future__ import annotations

from collections.abc import Iterable


def ranges(ranks: Iterable[int]) -> str:
    """The ranks as runs of equal steps, the steps of 1 left out."""
    left, parts = sorted(set(ranks)), []
    while left:
        run = _first_run(left)
        del left[: len(run)]
        step = run[1] - run[0] if len(run) > 1 else 1
        parts.append(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" + (f":{step}" if step > 1 else ""))
    return ",".join(parts)


def ranks_in(words: str) -> set[int]:
    """The ranks that `ranges` has put into words. Raises ValueError for other words."""
    found: set[int] = set()
    for part in filter(None, words.split(",")):
        run, _, step = part.partition(":")
        first, _, last = run.partition("-")
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def named(ranks: Iterable[int]) -> str:
    """ "rank 3", "ranks 0-2, 5"."""
    words = ranges(ranks)
    return f"rank{'' if words.isdecimal() else 's'} {words.replace(',', ', ')}"


def _first_run(ranks: list[int]) -> list[int]:
    """The longest run of one step at the beginning; one with a step of more than 1 has at least three ranks."""
    step = ranks[1] - ranks[0] if len(ranks) > 1 else 1
    length = 1
    while length < len(ranks) and ranks[length] - ranks[length - 1] == step:
        length += 1
    return ranks[: length if step == 1 or length > 2 else 1]
