from __future__ import annotations

import subprocess
import sys
import threading

from hpctrain.comm.solo import Solo
from hpctrain.errors import CommunicationError
from hpctrain.parallel.hogwild.attendant import Attendant

FORGOTTEN = """
from hpctrain.comm.solo import Solo
from hpctrain.parallel.hogwild.attendant import Attendant
Attendant(Solo()).start()
print("end of the script")
"""


class Watched(Solo):
    """Notes when it is asked to look at the network, and fails the first time if it should."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.looked = threading.Event()
        self.error = error

    def progress(self, awaited: int) -> None:
        self.looked.set()
        if self.error:
            raise self.error


def test_it_looks_from_start_to_stop_and_again() -> None:
    comm = Watched()
    attendant = Attendant(comm)
    before = threading.active_count()
    for _ in range(2):
        attendant.start()
        attendant.start()
        assert threading.active_count() == before + 1
        assert comm.looked.wait(10)
        attendant.stop()
        attendant.stop()
        assert threading.active_count() == before
        comm.looked.clear()


def test_what_goes_wrong_is_left_to_the_main_thread() -> None:
    comm = Watched(CommunicationError("rank 1 has ended"))
    attendant = Attendant(comm)
    attendant.start()
    assert comm.looked.wait(10)
    attendant.stop()


def test_a_script_that_forgets_it_ends() -> None:
    done = subprocess.run([sys.executable, "-c", FORGOTTEN], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end of the script\n", "")
