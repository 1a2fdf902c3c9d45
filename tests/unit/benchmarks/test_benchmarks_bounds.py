"""Bandwidths and bounds, as they are defined."""

from __future__ import annotations

import pytest
from all_reduce import algbw, busbw
from harness.summary import Row, Spread
from hosts_all_reduce import bound, of_bound


def row(ranks: int, size: str, seconds: float, **ratios: float) -> Row:
    spreads = {title.replace("_", " "): Spread(ratio, ratio, ratio) for title, ratio in ratios.items()}
    return Row({"ranks": ranks, "size": size}, "x", Spread(seconds, seconds, seconds), spreads, "")


@pytest.mark.parametrize(("ranks", "busbw_shown"), [(1, "0.00"), (2, "4.19"), (4, "6.29"), (8, "7.34")])
def test_busbw_is_what_each_rank_must_send(ranks: int, busbw_shown: str) -> None:
    """4 MiB in a millisecond are 4.19 GB/s."""
    measured = row(ranks, "4 MiB", 1e-3)
    assert algbw(measured) == "4.19"
    assert busbw(measured) == busbw_shown


def test_the_bound_of_four_hosts_on_a_gigabit() -> None:
    """The gradients of 10.9 M weights: 1.5 times 43.6 MB at 125 MB/s."""
    assert bound(4, 43_600_000, 1 / 125e6) == pytest.approx(0.5232)


def test_one_host_has_nothing_to_send() -> None:
    assert bound(1, 1000, 1.0) == 0


def test_the_share_of_the_bound_is_the_inverse_of_the_time() -> None:
    assert of_bound(row(4, "1 MiB", 1.0, times_bound=1.25)) == "80 %"
    assert of_bound(row(4, "1 MiB", 1.0)) == ""
