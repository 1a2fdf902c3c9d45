"""Metrics for TensorBoard: event files in the run directory, which `tensorboard --logdir runs` finds.

Written by tensorboardX, which needs neither TensorFlow nor torch; and by its record writer, in this thread: the queue
of its SummaryWriter would hold up training for ever where the disk is full. A step that several files have, since a
run continued from an earlier one, counts as the newest file has it: the session that begins says so (`SessionLog.START`
in TensorFlow's event.proto).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpctrain.train.callbacks.callback import RunInfo
from hpctrain.train.callbacks.metric_lines import MetricLines, Told, scalars

_FLUSH_SECONDS = 10.0
"""Between two times that the file is brought to the disk, which a shared file system may take its time for."""


class TensorBoard(MetricLines):
    """Writes each line of metrics.jsonl as scalars into a new event file in `folder`.

    Where that cannot be written, `tell` hears of it, and training goes on without.
    """

    def __init__(self, folder: Path, log_every: int, tell: Told) -> None:
        super().__init__(log_every)
        self._folder, self._tell = folder, tell
        self._records: Any = None
        self._flushed = 0.0

    def on_start(self, info: RunInfo) -> None:
        """Begin a file, which takes the place of what earlier ones say of later steps."""
        super().on_start(info)
        from tensorboardX import RecordWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        try:
            self._folder.mkdir(exist_ok=True)
            self._records = RecordWriter(str(self._folder / name))
        except OSError as error:
            self._give_up(error)
        self._add(Event(file_version="brain.Event:2"))
        self._add(Event(step=info.first_step + 1, session_log=SessionLog(status=SessionLog.START)))

    def write(self, line: Mapping[str, Any]) -> None:
        """Add the numbers of a line."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars(line).items()]
        self._add(Event(step=line["step"], summary=Summary(value=values)))

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Close the file."""
        super().on_end(summary)
        if self._records is not None:
            try:
                self._records.flush()
                self._records.close()
            except OSError as error:
                self._give_up(error)
            self._records = None

    def _add(self, event: Any) -> None:
        if self._records is None:
            return
        event.wall_time = time.time()
        try:
            self._records.write(event.SerializeToString())
            if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
                self._records.flush()
                self._flushed = time.monotonic()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._records = None
        self._tell(f"no more metrics go to TensorBoard: {self._folder} cannot be written: {error.strerror}")
