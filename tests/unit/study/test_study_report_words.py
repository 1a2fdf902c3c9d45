"""Numbers as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.study.report import words
from hpctrain.study.scaling import Estimate


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (words.percent(0.8349), "83%"),
        (words.percent(0.0423), "4.2%"),
        (words.percent(0.0996), "10%"),
        (words.percent(1.0), "100%"),
        (words.number(15424.16), "15,424"),
        (words.number(3.14159), "3.14"),
        (words.number(3.1), "3.10"),
        (words.number(99.96), "100"),
        (words.tick(5000.0), "5,000"),
        (words.tick(0.5), "0.5"),
        (words.seconds(1.234), "1.23 s"),
        (words.seconds(0.9996), "1.00 s"),
        (words.seconds(0.0123), "12.3 ms"),
        (words.seconds(0.00085), "850 µs"),
        (words.seconds(0.0), "0 µs"),
        (words.node_hours(1204.4), "1,204 node-hours"),
        (words.node_hours(0.0123), "0.0123 node-hours"),
        (words.node_hours(0.0042), "15.1 node-seconds"),
        (words.count(1, "rank"), "1 rank"),
        (words.count(1024, "rank"), "1,024 ranks"),
        (words.listed([]), ""),
        (words.listed(["a"]), "a"),
        (words.listed(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers(told: str, expected: str) -> None:
    assert told == expected


def test_the_unit_is_told_once_where_all_have_the_same() -> None:
    assert words.estimate(Estimate(0.0123, 0.0121, 0.0129, 5), words.seconds) == "12.3 ms (12.1 to 12.9)"
    assert words.estimate(Estimate(1.2, 0.9, 1.3, 5), words.seconds) == "1.20 s (900 ms to 1.30 s)"
    assert words.estimate(Estimate(0.83, 0.81, 0.84, 5), words.percent) == "83% (81% to 84%)"


def test_a_single_run_has_no_interval() -> None:
    assert words.estimate(Estimate(0.83, 0.83, 0.83, 1), words.percent) == "83%"


@pytest.mark.parametrize(
    ("began", "ended", "expected"),
    [
        ("2026-11-21T14:02:11+00:00", "2026-11-21T14:31:50+00:00", "21 November 2026, 14:02 to 14:31 UTC"),
        ("2026-11-01T23:00:00", "2026-11-02T01:00:00", "1 November 2026, 23:00 to 2 November 2026, 01:00"),
        ("", "", ""),
    ],
)
def test_when_it_was(began: str, ended: str, expected: str) -> None:
    assert words.period(began, ended) == expected


@given(st.floats(1e-6, 1e6))
def test_seconds_keep_three_digits(value: float) -> None:
    told, unit = words.seconds(value).split()
    back = float(told.replace(",", "")) * {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[unit]
    assert back == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        ([""], [""]),
        (["parallel.strategy=gossip", "parallel.strategy=central"], ["gossip", "central"]),
        (["a.b=1 c.d=x", "a.b=2 c.d=y"], ["1, x", "2, y"]),
        (["p.strategy=x", "p.strategy=y p.topology=ring"], ["x", "y, topology=ring"]),
        (["a.b=1", "c.b=1"], ["a.b=1", "c.b=1"]),
        (["", "a.b=1"], ["", "b=1"]),
        ([], []),
    ],
)
def test_variants_have_short_names_where_all_set_the_same(variants: list[str], expected: list[str]) -> None:
    assert list(words.labels(variants).values()) == expected
