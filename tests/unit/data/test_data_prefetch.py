"""Reading ahead: the same items, the errors in their place, and no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from hpctrain.data.prefetch import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "hpctrain-data"]


@pytest.mark.parametrize("depth", [0, 1, 2, 50])
def test_items_come_in_order(depth: int) -> None:
    assert list(ahead(iter(range(20)), depth)) == list(range(20))
    assert list(ahead([], depth)) == []
    assert not threads()


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_an_error_comes_after_the_items_before_it(depth: int) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the disk is gone")

    iterator = ahead(items(), depth)
    assert [next(iterator) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(iterator)
    assert not threads()


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_than_depth_items_are_made_ahead(depth: int) -> None:
    made = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if len(made) == depth + 1:
                enough.set()
            yield number

    iterator = ahead(items(), depth)
    next(iterator)
    assert enough.wait(10)
    iterator.close()  # joins the thread
    assert len(made) == depth + 1
    assert not threads()


def test_dropping_the_iterator_ends_the_thread() -> None:
    iterator = ahead(iter(int, 1), 2)  # endless
    next(iterator)
    assert len(threads()) == 1
    del iterator
    assert not threads()


def test_an_error_in_the_consumer_ends_the_thread() -> None:
    def consume() -> None:
        for _ in ahead(iter(int, 1), 2):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        consume()
    assert not threads()


def test_an_iterator_that_is_never_used_starts_nothing() -> None:
    ahead(iter(int, 1), 2)
    assert not threads()
