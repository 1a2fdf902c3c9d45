"""Cleaning: what is found, what is left out, and what a person reads about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.data.clean import TARGET, CleaningReport, clean
from hpctrain.data.partition import by_range
from hpctrain.data.split import hold_out
from hpctrain.errors import DataError

Open = Callable[..., Any]
INPUTS = np.array([[1.0, 2], [np.nan, np.inf], [3, 4], [5, np.nan], [6, 7]])
TARGETS = np.array([0.5, 1, np.nan, np.inf, 2])


@pytest.mark.parametrize(
    ("missing", "rows_out", "imputed"), [("refuse", [], 0), ("drop", [1, 2, 3], 0), ("impute", [2, 3], 2)]
)
@pytest.mark.parametrize("ranks", [1, 2, 3, 9])
def test_reports_of_parts_merge(missing: Any, rows_out: list[int], imputed: int, ranks: int) -> None:
    parts = [by_range(5, ranks, rank) for rank in range(ranks)]
    found = [clean(rows, INPUTS[rows], TARGETS[rows], missing) for rows in parts]
    report = reduce(CleaningReport.merge, (report for report, _ in reversed(found)), CleaningReport())
    assert report == CleaningReport(5, 3, 2, 3, len(rows_out), imputed, (1, 0))
    assert np.concatenate([rows for _, rows in found]).tolist() == rows_out


def test_words_and_whole_numbers() -> None:
    report, out = clean(np.array([4, 9]), np.array([[1], [2]]), np.array(["cat", ""]), "impute")
    assert (report.missing, report.infinite, report.first, out.tolist()) == (1, 0, (9, TARGET), [9])
    assert clean(np.arange(2), np.ones((2, 3), np.uint8), np.array([True, False]), "drop")[0].bad_samples == 0


def test_a_person_reads() -> None:
    report, _ = clean(np.arange(5), INPUTS, TARGETS, "drop")
    assert report.done() == "3 missing and 2 infinite values in 3 of 5 samples: 3 samples dropped"
    report, _ = clean(np.arange(5), INPUTS, np.zeros(5), "impute")
    assert report.done() == (
        "2 missing and 1 infinite values in 2 of 5 samples: 3 values replaced by the mean of the training data"
    )
    report, _ = clean(np.arange(5), INPUTS, TARGETS, "impute")
    assert report.done().endswith("2 samples dropped, 2 values replaced by the mean of the training data")


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Ten rows of which the third and the seventh have gaps; the fifth has no target."""
    lines = ["a,b,label", *(f"{row},{row * row},{row % 2}" for row in range(10))]
    lines[3], lines[7], lines[5] = ",4,0", "6,inf,0", "4,16,NA"
    path = tmp_path / "gaps.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize("size", [1, 3, 16])
def test_refuse_counts_over_all_ranks_and_names_the_first_place(open_ranks: Open, table: str, size: int) -> None:
    with pytest.raises(DataError) as error:
        open_ranks(size, source="csv", path=table)
    assert str(error.value) == (
        f'{table} has 2 missing and 1 infinite values in 3 of 10 samples; the first is {table}, line 4, column "a". '
        'Mend the data, or set data.missing to "drop" (the samples) or "impute" (the mean)'
    )


@pytest.mark.parametrize("size", [1, 2, 5, 16])
@pytest.mark.parametrize("partition", ["batch", "range", "random", "hash"])
def test_numbers_after_a_drop_are_the_same_in_any_world(
    open_ranks: Open, everything: Open, table: str, size: int, partition: str
) -> None:
    opened = open_ranks(size, source="csv", path=table, missing="drop", partition=partition, normalize="none")
    ids, inputs, _ = everything(opened)
    test_ids, test_inputs, _ = everything(opened, "test")
    assert ids.tolist() == list(range(6))  # 7 are kept, 1 is held out
    assert test_ids.tolist() == [0]
    reference = everything(open_ranks(1, source="csv", path=table, missing="drop", normalize="none"))
    np.testing.assert_array_equal(inputs, reference[1])
    kept = [[row, row * row] for row in range(10) if row not in (2, 4, 6)]
    assert sorted(inputs.tolist() + test_inputs.tolist()) == kept
    assert opened[-1].report == (f"{table}: 2 missing and 1 infinite values in 3 of 10 samples: 3 samples dropped",)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("partition", ["batch", "range"])
def test_impute_takes_the_mean_of_the_training_data(
    open_ranks: Open, everything: Open, table: str, size: int, partition: str
) -> None:
    settings = {"source": "csv", "path": table, "missing": "impute", "partition": partition}
    raw = everything(open_ranks(size, normalize="none", **settings))[1]
    full = everything(open_ranks(size, normalize="standard", **settings))[1]
    np.testing.assert_allclose(full, (raw - raw.mean(axis=0)) / raw.std(axis=0), rtol=1e-12)
    rows = np.array([[row, row * row] for row in range(10) if row != 4], dtype=float)
    rows[2, 0] = rows[5, 1] = np.nan
    opened = open_ranks(size, normalize="none", **settings)
    is_train = ~np.isin(np.arange(9), hold_out(9, 0.2, 0)[1])
    train = rows[is_train]
    means = np.nanmean(train, axis=0)
    np.testing.assert_allclose(raw, np.where(np.isnan(train), means, train), rtol=1e-14)
    test = rows[~is_train]
    np.testing.assert_allclose(everything(opened, "test")[1], np.where(np.isnan(test), means, test), rtol=1e-14)
    assert "1 sample dropped, 2 values replaced" in opened[0].report[0]


def test_a_column_without_any_value_cannot_be_imputed(open_one: Open, tmp_path: Path) -> None:
    path = tmp_path / "empty_column.csv"
    path.write_text("a,b,label\n" + "".join(f"{row},nan,{row % 2}\n" for row in range(8)))
    with pytest.raises(DataError, match='column "b" has no value in any training sample'):
        open_one(source="csv", path=str(path), missing="impute")
    with pytest.raises(DataError, match=r"has no samples left: 8 missing values in 8 of 8 samples: 8 samples dropped"):
        open_one(source="csv", path=str(path), missing="drop")


def test_gaps_in_arrays_of_several_axes(open_ranks: Open, everything: Open, tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(20, 2, 3)).astype(np.float32)
    images[7, 1, 2] = np.inf
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(20) % 3)
    settings = {"source": "npy", "path": str(tmp_path / "a.npz"), "test_fraction": 0.0}
    with pytest.raises(DataError, match=r'the first is .*a.npz, sample 7 \(from 0\), array "x", position \[1, 2\]'):
        open_ranks(3, **settings)
    opened = open_ranks(3, missing="impute", normalize="none", **settings)
    expected = images.astype(float)
    expected[7, 1, 2] = np.delete(images[:, 1, 2].astype(float), 7).mean()
    np.testing.assert_allclose(everything(opened)[1], expected, rtol=1e-14)
    assert opened[0].test is None
