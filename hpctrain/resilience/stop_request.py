"""Being asked to stop: signals only set a flag, and ranks agree on it at the end of a step."""

from __future__ import annotations

import signal
from types import FrameType

# SIGINT: Ctrl-C. SIGTERM: a launcher or Slurm. SIGUSR1: Slurm's --signal, sent some time before a limit.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopRequest:
    """Whether, and by which signal, this rank was asked to stop.

    Use as a context: the signals are caught inside and as they were outside. Where one came, SIGTERM and SIGUSR1 are
    ignored from then on: who has stopped needs no second request, and one that comes while the process ends would spoil
    its exit code. A second Ctrl-C ends the process at once.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            again = signal.SIG_IGN if self and number != signal.SIGINT else handler
            signal.signal(number, again)  # type: ignore[arg-type]

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.signal is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def __bool__(self) -> bool:
        return self.signal is not None
