"""Looking through the data once before training: gaps, labels, moments. Each rank looks through its own share."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from hpctrain.data.clean import CleaningReport, Missing, clean
from hpctrain.data.share import Share
from hpctrain.data.statistics import Moments, merge_all
from hpctrain.data.targets import TargetSurvey


@dataclass(frozen=True)
class Survey:
    """What was found in some rows of a source. Surveys of disjoint rows merge.

    Attributes:
        cleaning: missing and infinite values.
        dropped: (k,) int64, ascending: rows that are left out for them.
        targets: what occurs among the targets of the others.
    """

    cleaning: CleaningReport = field(default_factory=CleaningReport)
    dropped: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    targets: TargetSurvey = field(default_factory=TargetSurvey)

    def merge(self, other: Survey) -> Survey:
        """The survey of the rows of both."""
        return Survey(
            self.cleaning.merge(other.cleaning),
            np.union1d(self.dropped, other.dropped),
            self.targets.merge(other.targets),
        )


def survey(share: Share, missing: Missing) -> Survey:
    """Look through this rank's share: at the values only where some may be missing."""
    source = share.source
    known = Survey() if source.labels is None else Survey(targets=TargetSurvey(labels=source.labels))
    if source.labels is not None and not source.has_gaps:
        return known
    look = _look_at_all if source.has_gaps else _look_at_targets
    return merge_surveys([known, *(look(share, rows, missing) for rows in share.chunks(share.rows))])


def merge_surveys(parts: Iterable[Survey]) -> Survey:
    """The survey of the rows of all parts."""
    return functools.reduce(Survey.merge, parts, Survey())


def moments(share: Share, rows: np.ndarray, shape: tuple[int, ...]) -> Moments:
    """Moments of those of the ascending `rows` that lie in this rank's share, per position of a sample of `shape`."""
    mine = np.intersect1d(share.rows, rows, assume_unique=True)
    parts = (share.read(chunk)[0].reshape(len(chunk), *shape) for chunk in share.chunks(mine))
    return merge_all((Moments.of(part) for part in parts), shape)


def _look_at_all(share: Share, rows: np.ndarray, missing: Missing) -> Survey:
    inputs, targets = share.read(rows)
    report, dropped = clean(rows, inputs, targets, missing)
    return Survey(report, dropped, TargetSurvey.of(targets[~np.isin(rows, dropped)]))


def _look_at_targets(share: Share, rows: np.ndarray, missing: Missing) -> Survey:
    return Survey(targets=TargetSurvey.of(share.read_targets(rows)))
