"""The process itself: how it keeps its memory, and how it ends."""

from __future__ import annotations

import atexit
import ctypes
import logging
import sys
from typing import NoReturn

# glibc's malloc.h. The names are theirs.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next allocation, instead of returning it to the system.

    Every step frees its large arrays and asks for the same again; page after page would be taken back, given out and
    cleared anew, a tenth of a step and more. Does nothing where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_freed_memory() -> None:
    """Return to the system what is free now: much was used once, and will not be again.

    Does nothing where the C library is not glibc.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return


def leave(code: int) -> NoReturn:
    """End the process with an exit code, in order but at once. All ranks.

    What asked to be called at exit is called, output is written out and MPI is ended; but the interpreter is not taken
    apart object by object, which after an import of torch takes seconds when ranks share cores. The end is C's `exit`
    and not `_exit`: without the former's last words, MPICH's launcher takes the process for a crashed one.
    """
    atexit._run_exitfuncs()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    if mpi := sys.modules.get("hpctrain.comm.mpi"):
        mpi.finish()
    ctypes.PyDLL(None).exit(code)
    raise SystemExit(code)
