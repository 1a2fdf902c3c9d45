"""Progress in a batch log: a plain line every so many steps, no control characters."""

from __future__ import annotations

from typing import TextIO

from hpctrain.train.callbacks import formatting, rates
from hpctrain.train.callbacks.callback import RunInfo, StepRecord
from hpctrain.train.callbacks.console import Console


class ProgressLines(Console):
    """A line for the first step (it runs), then for every `log_every`-th and for the last."""

    def __init__(self, stream: TextIO, log_every: int) -> None:
        super().__init__(stream)
        self._log_every = log_every
        self._window = rates.Window()
        self._said = {0}

    def on_start(self, info: RunInfo) -> None:
        """Show the header, and note which steps are shown whatever their number."""
        super().on_start(info)
        self._said = {info.first_step + 1, info.total_steps}

    def on_step(self, record: StepRecord) -> None:
        """Show the step if it is its turn."""
        super().on_step(record)
        self._window.add(record)
        if record.step % self._log_every == 0 or record.step in self._said:
            self.say(f"{self.position(record)}  {standing(self._window)}")


def standing(window: rates.Window) -> str:
    """Loss and accuracy of the newest steps, speed and share of communication over the window, in one line."""
    accuracy = rates.mean_accuracy(window.newest)
    parts = [f"loss {formatting.loss(rates.mean_loss(window.newest))}"]
    if accuracy is not None:
        parts.append(f"accuracy {formatting.percent(accuracy, 1):>5}")
    parts.append(f"{formatting.rate(window.tally.samples_per_second())} samples/s")
    parts.append(f"communication {formatting.percent(window.tally.share('communication'))}")
    return "  ".join(parts)
