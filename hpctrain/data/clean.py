"""Missing and infinite values: found, counted, and told to a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Missing = Literal["refuse", "drop", "impute"]
TARGET = -1
"""The position that stands for the target of a sample."""


@dataclass(frozen=True)
class CleaningReport:
    """What was found in some samples, and what becomes of it. Reports of disjoint samples merge.

    Attributes:
        samples: samples looked at.
        missing: values that are not there: NaN, an empty cell, null.
        infinite: values that are infinite.
        bad_samples: samples with at least one of either.
        dropped: samples that are left out.
        imputed: values that are replaced by the mean of the training data.
        first: the first bad place: row in the source, and flat position in the sample or `TARGET`.
    """

    samples: int = 0
    missing: int = 0
    infinite: int = 0
    bad_samples: int = 0
    dropped: int = 0
    imputed: int = 0
    first: tuple[int, int] | None = None

    def merge(self, other: CleaningReport) -> CleaningReport:
        """The report of the samples of both."""
        return CleaningReport(
            self.samples + other.samples,
            self.missing + other.missing,
            self.infinite + other.infinite,
            self.bad_samples + other.bad_samples,
            self.dropped + other.dropped,
            self.imputed + other.imputed,
            min((first for first in (self.first, other.first) if first is not None), default=None),
        )

    def found(self) -> str:
        """What was found, in words."""
        counts = [(self.missing, "missing"), (self.infinite, "infinite")]
        kinds = " and ".join(f"{count:,} {kind}" for count, kind in counts if count) or "no missing"
        return f"{kinds} value{_s(self.missing + self.infinite)} in {self.bad_samples:,} of {self.samples:,} samples"

    def done(self) -> str:
        """What was found and what became of it, in words."""
        actions = [f"{self.dropped:,} sample{_s(self.dropped)} dropped"] if self.dropped else []
        if self.imputed:
            actions.append(f"{self.imputed:,} value{_s(self.imputed)} replaced by the mean of the training data")
        return ": ".join([self.found(), ", ".join(actions) or "kept"])


def clean(
    rows: np.ndarray, inputs: np.ndarray, targets: np.ndarray, missing: Missing
) -> tuple[CleaningReport, np.ndarray]:
    """Look through samples for missing and infinite values, and decide which samples to leave out.

    A target cannot be imputed: with "impute", a sample without one is left out. "refuse" leaves nothing out; whether
    there is something to refuse is known when the reports of all ranks are merged.

    Arguments: the (n,) rows of the samples in their source, ascending; inputs (n, ...); targets (n, ...), numbers or
    words, where an empty word is a missing one. Returns the report and the rows that are left out.
    """
    inputs, targets = _flat(inputs), _flat(targets)
    bad_inputs, bad_targets = _bad(inputs), _bad(targets)
    without_target = bad_targets.any(axis=1)
    bad = np.asarray(bad_inputs.any(axis=1) | without_target)
    out = {"refuse": np.zeros_like(bad), "drop": bad, "impute": without_target}[missing]
    num_missing = _num_missing(inputs) + _num_missing(targets)
    report = CleaningReport(
        samples=len(rows),
        missing=num_missing,
        infinite=int(bad_inputs.sum()) + int(bad_targets.sum()) - num_missing,
        bad_samples=int(bad.sum()),
        dropped=int(out.sum()),
        imputed=int(bad_inputs[~out].sum()) if missing == "impute" else 0,
        first=_first(rows, bad, bad_inputs),
    )
    return report, rows[out]


def _first(rows: np.ndarray, bad: np.ndarray, bad_inputs: np.ndarray) -> tuple[int, int] | None:
    if not bad.any():
        return None
    sample = int(bad.argmax())
    row = bad_inputs[sample]
    return int(rows[sample]), int(row.argmax()) if row.any() else TARGET


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), int(np.prod(values.shape[1:])))


def _bad(values: np.ndarray) -> np.ndarray:
    """Which of (n, m) values are missing or infinite."""
    if values.dtype.kind == "U":
        return np.asarray(values == "")
    return np.asarray(~np.isfinite(values))


def _num_missing(values: np.ndarray) -> int:
    return int((values == "").sum() if values.dtype.kind == "U" else np.isnan(values).sum())


def _s(count: int) -> str:
    return "" if count == 1 else "s"
