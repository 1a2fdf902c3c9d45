"""Opening the data of a job: from settings to a training set and a test set that every rank agrees on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hpctrain.data.dataset import Dataset, OnDemand, Preparation, Prepared
from hpctrain.data.ranks import Gather, Ranks
from hpctrain.data.share import Partition, Share
from hpctrain.data.sources.kinds import open_source, own_test_path
from hpctrain.data.sources.source import Request, Source
from hpctrain.data.statistics import Moments, merge_all
from hpctrain.data.survey import Survey, merge_surveys, moments, survey
from hpctrain.data.targets import Targets
from hpctrain.data.transform import Transform, fitted_shape, per
from hpctrain.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from hpctrain.job.settings import Data

PREPARED_BYTES = 256 * 2**20
"""Data of up to this size, once prepared, is prepared whole by every rank and kept in memory."""
MANY_CLASSES = 1000
"""So many different whole numbers as targets are worth a note: they may be meant as values."""


@dataclass(frozen=True)
class OpenedData:
    """What a job learns from.

    Attributes:
        train: the training set.
        test: the test set; None where none is held out or given.
        summary: what was opened, in a few words.
        report: what a person should know, a line each: values that were missing, samples dropped, slow formats.
    """

    train: Dataset
    test: Dataset | None
    summary: str
    report: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """A source, this rank's share of it, what all ranks found in it, and the rows that are kept."""

    share: Share
    found: Survey
    kept: np.ndarray


def open_data(
    settings: Data, *, dtype: DTypeLike, rank: int, size: int, gather: Gather, regression: bool = False
) -> OpenedData:
    """Open, clean and measure the data, and make it ready to read. All `size` ranks must call.

    `dtype` is that of inputs and of regression targets. `gather` returns every rank's value, in rank order, on every
    rank; it is how the ranks agree, and an error on one of them is raised on all. With `regression` whole numbers as
    targets are values; else they are the labels of classes. Raises DataError, or EnvironmentProblem for a package that
    is missing.
    """
    ranks, dtype = Ranks(rank, size, gather), np.dtype(dtype)
    request = Request(
        settings.path, features=tuple(settings.features), target=settings.target, context=settings.context
    )
    main = _open_part(settings, request, ranks)
    parts = [main]
    test_path = settings.test_path or own_test_path(settings.source, settings.path)
    if test_path:
        features, target = main.share.source.columns or (request.features, request.target)
        test_request = replace(request, path=test_path, role="test", features=features, target=target)
        parts.append(_open_part(settings, test_request, ranks))
        train_rows, test_rows = main.kept, parts[1].kept
    else:
        train_rows, test_rows = main.share.source.split(main.kept, settings.test_fraction, settings.split_seed)
    _check_shapes(parts)
    prepare = Preparation(_fit_transform(settings, dtype, parts, train_rows, ranks), _targets(parts, dtype, regression))
    train_set = ranks.each(lambda: _dataset(main.share, train_rows, prepare))
    test_set = ranks.each(lambda: _dataset(parts[-1].share, test_rows, prepare)) if len(test_rows) else None
    return OpenedData(train_set, test_set, _summary(main, train_set, test_set), _report(parts, prepare.targets))


def _open_part(settings: Data, request: Request, ranks: Ranks) -> _Part:
    """Open one source, take this rank's share, and agree on what is kept."""
    source = ranks.each(lambda: open_source(settings.source, request))
    if not len(source):
        raise DataError(f"{source.name} holds no samples")
    _check_same(source, ranks)
    automatic: Partition = "batch" if source.random_access else "range"
    partition: Partition = automatic if settings.partition == "auto" else settings.partition
    share = ranks.each(lambda: Share.of(source, partition, ranks.rank, ranks.size, settings.split_seed))
    found = merge_surveys(ranks.collect(lambda: survey(share, settings.missing)))
    if settings.missing == "refuse" and found.cleaning.first is not None:
        raise DataError(
            f"{source.name} has {found.cleaning.found()}; the first is {source.where(*found.cleaning.first)}. "
            'Mend the data, or set data.missing to "drop" (the samples) or "impute" (the mean)'
        )
    kept = np.delete(np.arange(len(source), dtype=np.int64), found.dropped)
    if not len(kept):
        raise DataError(f"{source.name} has no samples left: {found.cleaning.done()}")
    return _Part(share, found, kept)


def _check_same(source: Source, ranks: Ranks) -> None:
    """Raise DataError, on every rank, where ranks have opened different numbers of samples."""
    opened = ranks.gather((source.name, len(source)))
    for rank, (name, length) in enumerate(opened):
        if length != opened[0][1]:
            raise DataError(
                f"ranks must open the same data, and rank {rank} has {length:,} samples of {name} where rank 0 has "
                f"{opened[0][1]:,} of {opened[0][0]}"
            )


def _check_shapes(parts: list[_Part]) -> None:
    sources = [part.share.source for part in parts]
    if len({source.input_shape for source in sources}) > 1:
        found = " and ".join(f"{source.name} of shape {list(source.input_shape)}" for source in sources)
        raise DataError(f"training and test samples differ: {found}")


def _fit_transform(
    settings: Data, dtype: np.dtype, parts: list[_Part], train_rows: np.ndarray, ranks: Ranks
) -> Transform:
    """The transform that the settings ask for, with statistics of the training samples of all ranks."""
    share = parts[0].share
    source = share.source
    shape = fitted_shape(settings.shape, source.input_shape, source.name)
    if source.is_tokens:
        return Transform(shape, np.dtype(np.int64))
    has_fill = any(part.found.cleaning.imputed for part in parts)
    if settings.normalize == "none" and not has_fill:
        return Transform(shape, dtype, divisor=None if settings.scale == 1 else settings.scale)
    seen = merge_all(ranks.collect(lambda: moments(share, train_rows, shape)), shape)
    fill = _fill(seen, share) if has_fill else None
    if settings.normalize == "none":
        return Transform(shape, dtype, fill, divisor=settings.scale)
    # Scaling cancels out: the mean and the deviation of scaled values are scaled too.
    used = per(seen.counting(len(train_rows)), settings.normalize_per)
    return Transform(shape, dtype, fill, used.mean, used.deviation)


def _fill(seen: Moments, share: Share) -> np.ndarray:
    """The means that take the place of missing values. Raises DataError where there is nothing to take a mean of."""
    empty = np.flatnonzero(seen.count.reshape(-1) == 0)
    if len(empty):
        names = ", ".join(share.source.position_name(int(position)) for position in empty[:4])
        raise DataError(
            f"{share.source.name}: {names}{', ...' if len(empty) > 4 else ''} has no value in any training sample, so "
            "there is no mean to impute; leave it out of data.features"
        )
    return seen.mean


def _targets(parts: list[_Part], dtype: np.dtype, regression: bool) -> Targets:
    """How the targets of training and test data are encoded."""
    found = merge_surveys(part.found for part in parts).targets
    if regression:
        found = found.as_values()
    nothing = np.empty(0, dtype=np.int64)
    outputs = {math.prod(part.share.read_targets(nothing).shape[1:]) for part in parts}
    if found.has_reals and len(outputs) > 1:
        raise DataError(f"training and test targets differ in their number of values: {sorted(outputs)}")
    return found.targets(outputs.pop(), dtype, parts[0].share.source.name)


def _dataset(share: Share, rows: np.ndarray, prepare: Preparation) -> Dataset:
    """The data set whose sample k is in row `rows[k]` of the source."""

    def dataset(reader: Prepared | OnDemand, held: np.ndarray | None) -> Dataset:
        return Dataset(len(rows), prepare.transform.shape, prepare.targets, reader, held)

    if share.held is not None:
        ids = np.flatnonzero(np.isin(rows, share.held))
        return dataset(Prepared.of(share, rows[ids], ids, prepare), ids)
    sample_bytes = sum(array.itemsize * math.prod(array.shape[1:]) for array in prepare(share.read(rows[:0])))
    if share.source.decoded_when_read or len(rows) * sample_bytes > PREPARED_BYTES:
        return dataset(OnDemand(share, rows, prepare), None)
    return dataset(Prepared.of(share, rows, None, prepare), None)


def _summary(main: _Part, train: Dataset, test: Dataset | None) -> str:
    samples = f"{len(train):,} training and {0 if test is None else len(test):,} test samples"
    kind = (
        f"{train.num_outputs} value{'s' if train.num_outputs > 1 else ''} to predict"
        if train.num_classes is None
        else f"{train.num_classes} classes"
    )
    return f"{main.share.source.name}: {samples}, {kind}"


def _report(parts: list[_Part], targets: Targets) -> tuple[str, ...]:
    lines = []
    for part in parts:
        name, cleaning = part.share.source.name, part.found.cleaning
        lines += [f"{name}: {cleaning.done()}"] if cleaning.bad_samples else []
        lines += part.share.source.notes
    if targets.classes is not None and targets.classes.dtype.kind == "i" and targets.outputs > MANY_CLASSES:
        lines.append(
            f"{targets.outputs:,} different whole numbers as targets, taken for classes; for a "
            "regression set training.loss=mse"
        )
    return tuple(lines)
