"""The answer and the paragraph: their numbers are those of the tables, and they hide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from studies import a_report, a_run, failed, forecasts, noisy

from hpctrain.study.forecast import Scaling
from hpctrain.study.grade import Grade
from hpctrain.study.report import tables
from hpctrain.study.report.answer import answer, key_numbers, question
from hpctrain.study.report.findings import Findings
from hpctrain.study.report.proposal import left_out, paragraph
from hpctrain.study.results import Run
from hpctrain.study.strategy import Strategy

STRONG, WEAK = Scaling.STRONG, Scaling.WEAK
FOUR = {
    f"parallel.strategy={name}": factor for name, factor in [("central", 3.0), ("all_reduce", 1.0), ("gossip", 0.4)]
}


def findings(runs: Sequence[Run], **changes: Any) -> Findings:
    return Findings.of(a_report(runs, **changes))


def cells(found: Findings, mode: Scaling) -> dict[str, str]:
    """The row of the largest world, by the head of its column."""
    table = tables.of_mode(found, mode)[0]
    return dict(zip(table.head, table.rows[-1], strict=True))


@pytest.mark.parametrize("repeats", [1, 3, 5])
def test_numbers_in_words_are_those_of_the_tables(repeats: int) -> None:
    found = findings(noisy(repeats=repeats, target=True), target="test_accuracy=0.95")
    text, said, shown = paragraph(found), " ".join(answer(found)), [number.value for number in key_numbers(found)]
    for mode in Scaling:
        row = cells(found, mode)
        assert row["speed-up"] in text
        assert row["speed-up"] in said
        assert f"an efficiency of {row['efficiency']}." in text
        assert row["efficiency"] in shown
    costs = {row[-1] for mode in Scaling for row in tables.of_mode(found, mode)[0].rows}
    assert shown[2] in costs
    assert f"test_accuracy=0.95 is reached in {shown[2]} with " in text
    assert ("(" in shown[0]) == (repeats > 1)


def test_it_says_what_intervals_are() -> None:
    assert "90% bootstrap intervals over repeated runs" in paragraph(findings(noisy(repeats=5)))
    assert "the range of as few as 2 runs" in paragraph(findings(noisy(repeats=2)))
    assert "rest on a single run" in paragraph(findings(noisy(repeats=1)))


def test_it_says_where_and_how_often() -> None:
    text = paragraph(findings(noisy(repeats=2)))
    assert text.startswith("digits_cnn (Model: a small convolutional network, 21,322 weights; Data: ")
    assert (
        "trained with hpctrain 0.1.0 on 4 nodes of this kind (AMD EPYC 7763, 4 cores, 24 GiB of memory; "
        "Open MPI 5.0.11), with 1, 2, 4 and 8 ranks, 2 times each." in text
    )
    assert question(findings(noisy([WEAK], repeats=1))) == "1, 2, 4 and 8 ranks, weak scaling, once each"


def test_failed_runs_are_told() -> None:
    runs = [failed(run, "out of memory") if run.ranks == 8 else run for run in noisy(repeats=1)]
    found = findings(runs)
    assert "2 of 8 runs did not complete and are in none of these numbers." in paragraph(found)
    assert key_numbers(found)[2] == ("6 of 8", "runs completed", "the others are listed below")
    assert "with 1, 2 and 4 ranks" in paragraph(found)
    assert tables.unfinished(found).rows[0][1:3] == ("failed", "out of memory")
    assert tables.of_mode(found, STRONG)[0].note == "No run with 8 ranks completed."


def test_one_machine_and_crowded_cores_are_told() -> None:
    runs = [replace(run, nodes=1, ranks_per_core=max(1.0, run.ranks / 2)) for run in noisy(repeats=1)]
    text = paragraph(findings(runs))
    assert "All ranks ran on one machine" in text
    assert "From 4 ranks up there were more ranks than cores (up to 4 ranks on a core)" in text
    assert "Of the time that a step of 2 ranks takes beyond the ideal" in text  # beyond, the cores are the limit
    assert [row[0] for row in tables.of_mode(findings(runs), WEAK)[0].rows] == ["1", "2", "4*", "8*"]
    clean = paragraph(findings(noisy(repeats=1)))
    assert "one machine" not in clean
    assert "more ranks than cores" not in clean


def test_what_limits_it_is_told() -> None:
    runs = [a_run(STRONG, 1), a_run(STRONG, 8, communication=0.5, seconds=0.52)]
    text = paragraph(findings(runs))
    assert "Of the time that a step of 8 ranks takes beyond the ideal, 99% is communication." in text
    together = [replace(run, waiting=0.0) for run in runs]
    assert "is communication, in which waiting for slower ranks is included." in paragraph(findings(together))


def test_sizes_that_are_sensible() -> None:
    text = paragraph(findings([a_run(STRONG, ranks, seconds=1 / ranks**0.6) for ranks in (1, 2, 4, 8)]))
    assert "It is sensible to ask for up to 4 ranks on 2 nodes in strong scaling, by the rule" in text
    text = paragraph(findings([a_run(WEAK, ranks, seconds=1.0) for ranks in (1, 2)]))
    assert "to ask for up to 2 ranks on 1 node (the largest measured) in weak scaling, by the rule" in text


def test_of_compared_variants_the_cheapest_is_told_of_first() -> None:
    by_throughput = findings(noisy(variants=FOUR, repeats=1))
    assert {series.variant for series in by_throughput.lead} == {"parallel.strategy=gossip"}
    assert "gossip does the most samples a second with 8 ranks in strong scaling." in paragraph(by_throughput)
    runs = [
        replace(run, node_hours_to_target=0.5 if "central" in run.variant else 0.9, seconds_to_target=9.0)
        for run in noisy(variants=FOUR, repeats=1)
    ]
    by_cost = findings(runs, target="test_loss=0.1")
    assert "central reaches test_loss=0.1 in the fewest node-hours." in paragraph(by_cost)
    table = tables.comparison(by_cost, STRONG)
    assert table is not None
    assert [row[0] for row in table.rows] == ["central", "all_reduce", "gossip"]


def test_variants_are_compared_in_a_world_that_all_have() -> None:
    runs = noisy(variants=FOUR, repeats=1, sizes=(1, 2, 4))
    lost = [failed(run, "no") if run.ranks == 4 and "gossip" in run.variant else run for run in runs]
    table = tables.comparison(findings(lost), STRONG)
    assert table is not None
    assert table.title == "2 ranks, strong scaling"
    gone = [failed(run, "no") if "gossip" in run.variant else run for run in runs]
    table = tables.comparison(findings(gone), STRONG)
    assert table is not None
    assert table.note == "No run of gossip completed."
    assert tables.comparison(findings(noisy(repeats=1)), STRONG) is None


def test_a_target_that_was_not_reached() -> None:
    found = findings(noisy(repeats=1), target="test_accuracy=0.99")
    assert "No run came to test_accuracy=0.99." in paragraph(found)
    assert cells(found, WEAK)["to test_accuracy=0.99"] == "not reached"


def test_forecasts_are_told_with_their_error() -> None:
    known, asked = forecasts([Strategy("all_reduce")])
    found = findings(noisy(repeats=1), fits={"": known}, forecasts={"": asked}, link="HDR InfiniBand")
    text = paragraph(found)
    for forecast, row in zip(asked, tables.paying(found).rows, strict=True):
        end = f"{forecast.scaling.value} scaling pays up to {row[2]} on {row[3]} nodes, with an efficiency of {row[5]}"
        assert end in text
    assert "fitted to these runs (link between nodes: HDR InfiniBand) forecasts" in text
    assert left_out(known.left_out) in text
    (table,) = tables.left_out(found)
    assert len(table.rows) == len(known.left_out.rows)
    assert "how far it is off is unknown" in left_out(Grade(()))


def test_where_nothing_completed_nothing_is_said() -> None:
    found = findings([failed(run, "no") for run in noisy(repeats=1)], environment={})
    assert answer(found) == ["No run completed, so there is no answer yet. What went wrong is told below."]
    assert paragraph(found).endswith("No run completed, so nothing can be said about scaling.")
    assert key_numbers(found) == [("0 of 8", "runs completed", "the others are listed below")]
