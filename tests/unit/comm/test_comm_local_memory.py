"""What local ranks share, and who may join."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from hpctrain.comm.connect import connect
from hpctrain.comm.local.ending import how_it_ended
from hpctrain.comm.local.memory import CONTEXTS, RING_BYTES, Memory, Seat, create
from hpctrain.errors import EnvironmentProblem


@pytest.mark.parametrize("size", [1, 2, 3])
def test_nothing_lies_on_a_line_of_something_else(size: int) -> None:
    memory = Memory(create(size), size)
    lines = [[memory.barrier(context, rank) // 8] for context in range(CONTEXTS) for rank in range(size)]
    for source in range(size):
        for dest in range(size):
            ring = memory.ring(source, dest)
            lines += [[ring.head // 8], [ring.tail // 8]]
            assert len(ring.data) == RING_BYTES
            ring.data[0], ring.data[-1] = 17, 19
    used = [line for part in lines for line in part]
    assert len(used) == len(set(used))
    assert min(used) == size  # before them: one line for the ending of each rank
    assert not any(memory.words[8 * line] for line in used)  # and the bytes of the rings lie elsewhere
    assert bytes(memory.ring(size - 1, 0).data[:: RING_BYTES - 1]) == bytes([17, 19])


def test_two_that_map_it_see_the_same() -> None:
    descriptor = create(2)
    one, other = Memory(descriptor, 2), Memory(descriptor, 2)
    assert other.ending(1) is None
    assert not other.aborts(1)
    one.set_ending(1, -9)
    one.set_aborts(1)
    assert (other.ending(1), other.ending(0)) == (-9, None)
    assert (other.aborts(1), other.aborts(0)) == (True, False)
    one.set_ending(0, 0)
    assert other.ending(0) == 0


def test_its_pages_are_taken_when_they_are_used() -> None:
    descriptor = create(64)
    Memory(descriptor, 64).set_ending(3, 0)
    assert os.fstat(descriptor).st_size > 4 * 2**30
    assert os.fstat(descriptor).st_blocks * 512 <= 2**16
    os.close(descriptor)


def test_a_process_that_inherits_the_variables_and_not_the_memory_is_refused() -> None:
    descriptor = create(2)
    with pytest.raises(EnvironmentProblem, match=r"not one of the 3 local ranks.*HPCTRAIN_LOCAL_"):
        connect(launched=True, seat=Seat(0, 3, descriptor))
    os.close(descriptor)
    with pytest.raises(EnvironmentProblem, match="not one of the 2 local ranks"):
        connect(launched=True, seat=Seat(0, 2, descriptor))


def test_connecting_again_finds_the_same_ranks() -> None:
    seat = Seat(0, 1, create(1))
    first, second = (connect(launched=True, seat=seat) for _ in range(2))
    first.close()
    first.barrier()
    second.barrier()
    assert (second.rank, second.size, second.library) == (0, 1, "local shared memory")
    with pytest.raises(OSError, match="Bad file"):  # so that no program started by a rank inherits it
        os.fstat(seat.descriptor)


def test_a_machine_without_such_memory_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(EnvironmentProblem, match="MiB of address space for 4 local ranks"):
        create(4)


def test_a_limit_on_address_space_is_a_clear_error() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "import sys; from hpctrain.local import main\n"
        "sys.exit(main(['-n', '64', '-c', 'pass']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"hpctrain: the system gives no 4,[0-9]+ MiB .* 64 local ranks .*: .* ulimit -v\n", done.stderr)


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "ended with exit code 0"), (3, "ended with exit code 3"), (-9, "was killed by SIGKILL"), (-200, "signal 200")],
)
def test_endings_in_words(code: int, words: str) -> None:
    assert how_it_ended(code).endswith(words)
