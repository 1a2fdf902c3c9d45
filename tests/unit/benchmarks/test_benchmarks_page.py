"""Tables that people read."""

from __future__ import annotations

import pytest
from harness.page import aligned, digits, markdown, overview, page, tabulate
from harness.summary import Row, Spread

ROWS = [
    Row({"ranks": 8}, "alone", Spread(0.1234, 0.1, 1.5), {}, ""),
    Row({"ranks": 16}, "hpctrain", Spread(0.00123, 0.001, 0.002), {"times alone": Spread(1.104, 1.0, 1.2)}, "best"),
]


def test_a_line_has_case_contender_value_what_is_computed_ratios_and_place() -> None:
    columns = {"per second": lambda row: f"{1 / row.value.median:.0f}"}
    assert tabulate(ROWS, ["times alone"], "ms", columns) == [
        ("ranks", "contender", "median ms", "quartiles", "per second", "times alone", "place"),
        ("8", "alone", "123", "100 to 1500", "8", "", ""),
        ("16", "hpctrain", "1.23", "1.00 to 2.00", "813", "1.10 (1.00 to 1.20)", "best"),
    ]


def test_a_column_that_is_empty_is_left_out() -> None:
    assert tabulate(ROWS[:1], ["times alone"], "s", {"nothing": lambda _: ""}) == [
        ("ranks", "contender", "median s", "quartiles"),
        ("8", "alone", "0.123", "0.100 to 1.50"),
    ]


def test_an_overview_has_a_line_for_each_case_and_a_column_for_each_contender() -> None:
    rows = [
        Row({"ranks": 8}, "a", Spread(1e-6, 1e-6, 1e-6), {}, "best"),
        Row({"ranks": 8}, "b", Spread(2e-6, 2e-6, 2e-6), {}, "worst"),
        Row({"ranks": 4}, "b", Spread(3e-6, 3e-6, 3e-6), {}, ""),
    ]
    assert overview(rows, "us") == [
        ("ranks", "a", "b", "best", "worst"),
        ("8", "1.00", "2.00", "a", "b"),
        ("4", "", "3.00", "", ""),
    ]


@pytest.mark.parametrize(("unit", "shown"), [("us", "2000000"), ("ms", "2000"), ("s", "2.00"), ("MiB", "1.91e-06")])
def test_a_unit_scales_values(unit: str, shown: str) -> None:
    assert overview([Row({}, "a", Spread(2.0, 2.0, 2.0), {}, "")], unit)[1][0] == shown


@pytest.mark.parametrize(("number", "shown"), [(0.0123, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")])
def test_three_digits_are_shown_and_those_before_the_point(number: float, shown: str) -> None:
    assert digits(number) == shown


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


def test_a_page_says_what_was_measured_what_came_out_and_on_what() -> None:
    text = page("step_time", "How long?", {"Medians": [("a",), ("1",)], "Ratios": [("b",), ("2",)]}, {"cores": 2})
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# step_time", "## Medians", "## Ratios", "## Measured on"]
    assert "How long?\n\n## Medians\n\n| a |\n" in text
    assert text.endswith("- cores: 2\n")
