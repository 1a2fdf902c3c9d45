"""The end of a job that cannot go on: every rank ends within seconds, and one message says why."""

from __future__ import annotations

import socket
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from hpctrain.errors import HpctrainError, InputError

if TYPE_CHECKING:
    from hpctrain.comm.communicator import Communicator

# A mistake in the input is mostly seen by all ranks at once. Rank 0 then speaks for all; the others wait so long
# for it to end them, and speak only if it has seen nothing wrong.
SECONDS_FOR_RANK_0 = 1.0
# Where rank 0 takes longer, on a busy machine, the next one speaks: so much earlier than the one after it.
_SECONDS_APART = 0.5
_MOST_TURNS = 5
# Where all ranks are known to end by the same error, rank 0 may take its time: it draws the curves, for one.
_SECONDS_IF_EVERYWHERE = 30.0


def exit_code(error: BaseException) -> int:
    """The exit code of a job that ends by `error`."""
    return error.exit_code if isinstance(error, HpctrainError) else 1


def describe(error: BaseException, comm: Communicator, log: Path | None) -> str:
    """What a person reads last: for a mistake in the input just that, else the rank, the host and the log as well."""
    if isinstance(error, InputError):
        return f"hpctrain: {error}"
    words = f"{error}" if isinstance(error, HpctrainError) else f"{type(error).__name__}: {error}"
    where = f"; traceback in {log}" if log is not None else ""
    return f"hpctrain: rank {comm.rank} of {comm.size} on {socket.gethostname()} failed: {words}{where}"


def end_world(error: BaseException, comm: Communicator, log: Path | None) -> NoReturn:
    """Write the traceback to `log`, print one message, and end every rank with the error's exit code.

    The rank that failed calls; the others need not. Where no log can be written, the traceback is printed.
    """
    trace = "".join(traceback.format_exception(error))
    written = log is not None and _append(log, trace)
    if comm.rank and isinstance(error, HpctrainError):
        patience = _SECONDS_IF_EVERYWHERE if error.is_everywhere else SECONDS_FOR_RANK_0
        time.sleep(patience + _SECONDS_APART * (min(comm.rank, _MOST_TURNS) - 1))
    if not written and not isinstance(error, HpctrainError):
        sys.stderr.write(trace)
    sys.stderr.write(describe(error, comm, log if written else None) + "\n")
    sys.stderr.flush()
    comm.abort(exit_code(error))


def end_world_on_exceptions(comm: Communicator) -> None:
    """Have an exception that nobody catches end every rank, as `end_world` does, with its traceback printed."""

    def end(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
        end_world(error, comm, None)

    sys.excepthook = end


def _append(path: Path, text: str) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)
    except OSError:
        return False
    return True
