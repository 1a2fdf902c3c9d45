"""Reading ahead in a background thread."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True)
class _End:
    error: BaseException | None


def ahead(items: Iterable[T], depth: int) -> Generator[T]:
    """The same items, up to `depth` of them made ready in a background thread while the consumer works; 0: none.

    An error in making an item is raised in the consumer at the place of that item. The thread ends with the items, or
    when this generator is closed: it is joined then, so that nothing is read behind the consumer's back.
    """
    if depth == 0:
        yield from items
        return
    ready: SimpleQueue[_Item[T] | _End] = SimpleQueue()
    free = threading.Semaphore(depth)
    closed = threading.Event()

    def work() -> None:
        try:
            source = iter(items)
            while True:
                free.acquire()
                if closed.is_set():
                    return
                ready.put(_Item(next(source)))
        except StopIteration:
            ready.put(_End(None))
        except BaseException as error:  # whatever it is, it belongs to the consumer
            ready.put(_End(error))

    thread = threading.Thread(target=work, name="hpctrain-data", daemon=True)
    thread.start()
    try:
        while isinstance(item := ready.get(), _Item):
            free.release()
            yield item.value
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        free.release()
        thread.join()
