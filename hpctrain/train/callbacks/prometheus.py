"""metrics.prom: how a run stands now, as Prometheus reads it from node_exporter's textfile collector.

    # HELP hpctrain_train_loss Mean loss of the newest logged batch.
    # TYPE hpctrain_train_loss gauge
    hpctrain_train_loss{job="digits_cnn",run="/scratch/me/runs/digits_cnn/2026-11-21T10-15-30"} 0.0812

In the text format of exposition, version 0.0.4, which prometheus_client writes: whole or not at all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpctrain.train.callbacks.callback import RunInfo
from hpctrain.train.callbacks.metric_lines import MetricLines, Told, scalars

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_SECONDS = 5.0
"""Between two files: Prometheus asks less often."""

_STATUSES = ("running", "completed", "preempted", "failed")

_MEANINGS = {
    "steps": "Steps of the whole run.",
    "step": "The newest logged step.",
    "ranks": "Ranks of the job.",
    "last_line_timestamp_seconds": "When the newest line of metrics was written: a run that hangs writes none.",
    "train_loss": "Mean loss of the newest logged batch.",
    "train_accuracy": "Accuracy in the newest logged batch, a share of 1.",
    "test_loss": "Mean loss of the newest evaluation.",
    "test_accuracy": "Accuracy in the newest evaluation, a share of 1.",
    "epoch": "Epoch of the newest line, from 0.",
    "learning_rate": "Learning rate of the newest logged step.",
    "samples_per_second": "Samples of all ranks per second, mean of the steps since the line before.",
}


class Prometheus(MetricLines):
    """Writes the numbers of the newest lines to `path`, at most once in some seconds, and at the end.

    Where that fails, `tell` hears of it, and training goes on; the next file may be written again.
    """

    def __init__(self, path: Path, log_every: int, tell: Told) -> None:
        super().__init__(log_every)
        self._path, self._tell = path, tell
        self._labels: dict[str, str] = {}
        self._values: dict[str, float] = {}
        self._status = "running"
        self._written = 0.0

    def on_start(self, info: RunInfo) -> None:
        """Say that the run has begun."""
        super().on_start(info)
        self._labels = {"job": info.name, "run": str(info.run_dir.resolve())}
        self._values = {"ranks": info.world_size, "steps": info.total_steps, "step": info.first_step}
        self._publish()

    def write(self, line: Mapping[str, Any]) -> None:
        """Take in a line."""
        moment = {"step": float(line["step"]), "last_line_timestamp_seconds": time.time()}
        self._values |= scalars(line) | moment
        if time.monotonic() - self._written >= _SECONDS:
            self._publish()

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Say how the run ended."""
        super().on_end(summary)
        self._status = str(summary.get("status", "failed"))
        if self._labels:
            self._publish()

    def collect(self) -> Iterator[Metric]:
        """The metrics as prometheus_client asks a collector for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        names = list(self._labels)
        here = list(self._labels.values())
        status = GaugeMetricFamily("hpctrain_status", "1 for how the run stands, 0 else.", labels=[*names, "status"])
        for word in _STATUSES:
            status.add_metric([*here, word], word == self._status)
        yield status
        sent = CounterMetricFamily("hpctrain_bytes_sent", "Bytes that rank 0 has sent in collectives.", labels=names)
        sent.add_metric(here, self._values.get("bytes_sent", 0.0))
        yield sent
        seconds = GaugeMetricFamily(
            "hpctrain_step_seconds", "Seconds of a step of rank 0 by section.", labels=[*names, "section"]
        )
        for name, value in self._values.items():
            group, _, section = name.partition("/")
            if group == "seconds":
                seconds.add_metric([*here, section], value)
            elif name != "bytes_sent":
                word = re.sub(r"\W", "_", name, flags=re.ASCII)
                meaning = _MEANINGS.get(word, f"The newest {name} of the run's metrics.")
                gauge = GaugeMetricFamily(f"hpctrain_{word}", meaning, labels=names)
                gauge.add_metric(here, value)
                yield gauge
        yield seconds

    def _publish(self) -> None:
        from prometheus_client import CollectorRegistry, write_to_textfile

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)  # a collector is whatever has `collect`
        try:
            write_to_textfile(str(self._path), registry)
        except OSError as error:
            self._tell(f"{self._path} is out of date: it cannot be written: {error.strerror}")
        self._written = time.monotonic()
