"""Tables that people read."""

from __future__ import annotations

import pytest
from harness.page import aligned, markdown, page, tabulate
from harness.summary import Row, Spread

ROWS = [
    Row({"ranks": 8}, "alone", Spread(0.1234, 0.1, 1.5), {}, ""),
    Row({"ranks": 16}, "hpctrain", Spread(0.00123, 0.001, 0.002), {"times alone": Spread(1.104, 1.0, 1.2)}, "fastest"),
]


def test_a_line_has_case_contender_times_ratios_and_place() -> None:
    assert tabulate(ROWS, ["times alone"], "ms") == [
        ("ranks", "contender", "median ms", "quartiles", "times alone", "place"),
        ("8", "alone", "123", "100 to 1500", "", ""),
        ("16", "hpctrain", "1.23", "1.00 to 2.00", "1.10 (1.00 to 1.20)", "fastest"),
    ]


def test_a_column_that_is_empty_is_left_out() -> None:
    assert tabulate(ROWS[:1], ["times alone"], "s") == [
        ("ranks", "contender", "median s", "quartiles"),
        ("8", "alone", "0.123", "0.100 to 1.50"),
    ]


def test_aligned_columns_begin_under_each_other_and_numbers_end_there() -> None:
    assert aligned([("ranks", "contender"), ("8", "a"), ("16", "b")]).splitlines() == [
        "ranks  contender",
        "    8  a",
        "   16  b",
    ]


@pytest.mark.parametrize("table", [[("a", "b")], [("a", "b"), ("1", ""), ("2", "x")]])
def test_markdown_has_as_many_cells_in_every_line(table: list[tuple[str, str]]) -> None:
    lines = markdown(table).splitlines()
    assert lines[1] == "| --- | --- |"
    assert len(lines) == len(table) + 1
    assert {line.count("|") for line in lines} == {3}


def test_a_page_says_what_was_measured_and_on_what() -> None:
    text = page("step_time", "How long?", [("a",), ("1",)], {"cores": 2})
    assert text.splitlines()[0] == "# step_time"
    assert "How long?\n\n| a |\n" in text
    assert text.endswith("- cores: 2\n")
