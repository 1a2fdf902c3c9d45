"""What the newest steps say together: means and rates, over a window that slides along with the run."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from hpctrain.train.callbacks.callback import StepRecord


class Tally:
    """Sums over steps: kept up to date step by step, since the steps of a window may be thousands."""

    def __init__(self) -> None:
        self.steps = 0
        self.samples = 0
        self._seconds: dict[str, float] = {}

    def add(self, record: StepRecord, times: int = 1) -> None:
        """Count a step in; with `times` of -1 count it out again."""
        self.steps += times
        self.samples += times * record.samples
        for name, seconds in record.seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + times * seconds

    @property
    def seconds(self) -> float:
        """How long the steps took together."""
        return max(math.fsum(self._seconds.values()), 0.0)

    def mean_seconds(self) -> dict[str, float]:
        """Mean seconds of a step by what they went into."""
        return {name: max(seconds, 0.0) / self.steps for name, seconds in self._seconds.items()}

    def samples_per_second(self) -> float:
        """Samples of all ranks over the seconds of the steps; 0 where no time passed."""
        return self.samples / self.seconds if self.seconds > 0 else 0.0

    def share(self, name: str) -> float:
        """Share of the time that went into `name`; 0 where no time passed."""
        return max(self._seconds.get(name, 0.0), 0.0) / self.seconds if self.seconds > 0 else 0.0


class Window:
    """The steps of the last `seconds` of training, and always the last `steps` of them at least.

    `tally` sums over all of them, for rates; `newest` is the last `steps`, for what is learned and changes faster.
    """

    def __init__(self, steps: int = 10, seconds: float = 5.0) -> None:
        self.tally = Tally()
        self._steps, self._seconds = steps, seconds
        self._records: deque[StepRecord] = deque()

    def add(self, record: StepRecord) -> None:
        """Take in a step; the oldest ones that no longer belong leave."""
        self._records.append(record)
        self.tally.add(record)
        while self.tally.steps > self._steps and self.tally.seconds - self._oldest_seconds() >= self._seconds:
            self.tally.add(self._records.popleft(), times=-1)

    @property
    def newest(self) -> list[StepRecord]:
        """The last steps, the newest at the end."""
        return [self._records[place] for place in range(-min(self._steps, len(self._records)), 0)]

    def _oldest_seconds(self) -> float:
        return math.fsum(self._records[0].seconds.values())


def mean_loss(records: Sequence[StepRecord]) -> float:
    """Mean loss of a sample over the steps with a finite loss (others were skipped); NaN without any."""
    finite = [record for record in records if math.isfinite(record.loss)]
    samples = sum(record.samples for record in finite)
    return math.fsum(record.loss * record.samples for record in finite) / samples if samples else math.nan


def mean_accuracy(records: Sequence[StepRecord]) -> float | None:
    """Share of samples that were right; None for a regression."""
    counted = [(record.accuracy, record.samples) for record in records if record.accuracy is not None]
    samples = sum(samples for _, samples in counted)
    return math.fsum(accuracy * samples for accuracy, samples in counted) / samples if samples else None
