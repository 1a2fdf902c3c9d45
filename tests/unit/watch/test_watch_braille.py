"""Curves as dots: each point is where its value says, and the lines between have no gaps."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from hpctrain.watch.braille import Curve, Picture, draw, fitting_scale


def dots(picture: Picture) -> set[tuple[int, int]]:
    """Column and row, from the top, of every dot that is set: decoded by the numbers of Unicode's dots."""
    order = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]  # dots 1 to 8
    return {
        (2 * column + x, 4 * row + y)
        for row, cells in enumerate(picture.rows)
        for column, (character, _) in enumerate(cells)
        for bit, (x, y) in enumerate(order)
        if ord(character) - 0x2800 >> bit & 1
    }


def text(picture: Picture) -> list[str]:
    return ["".join(character for character, _ in row) for row in picture.rows]


def test_a_line_from_corner_to_corner() -> None:
    picture = draw([Curve("a", [(float(x), float(x)) for x in range(8)])], 8, 4, 2)
    assert dots(picture) == {(x, 7 - x) for x in range(8)}
    assert text(picture) == ["⠀⠀⡠⠊", "⡠⠊⠀⠀"]
    assert (picture.low, picture.high) == (0.0, 7.0)


def test_points_of_a_column_are_its_mean_and_a_flat_curve_is_in_the_middle() -> None:
    picture = draw([Curve("a", [(0, 1.0), (0.5, 3.0), (1, 2.0)])], 2, 1, 1)
    assert {row for _, row in dots(picture)} == {2}


def test_equal_ratios_have_equal_heights_where_values_span_a_decade() -> None:
    curves = [Curve("a", [(x, 10.0**-x) for x in range(4)])]
    assert fitting_scale(curves) is math.log
    assert dots(draw(curves, 4, 2, 1, fitting_scale(curves))) == {(0, 0), (1, 1), (2, 2), (3, 3)}


def test_other_values_have_a_linear_scale() -> None:
    for values in ([1.0, 10.0], [0.0, 5.0], [-1.0, 50.0], []):
        assert fitting_scale([Curve("a", list(enumerate(values)))]) is float


def test_the_last_curve_has_the_character_where_two_meet() -> None:
    picture = draw([Curve("a", [(0, 0.0), (1, 1.0)]), Curve("b", [(0, 0.0)])], 2, 2, 1)
    assert [owner for row in picture.rows for _, owner in row] == [1, 0]


def test_nothing_to_draw() -> None:
    picture = draw([Curve("a", [])], 0, 3, 2)
    assert dots(picture) == set()


points = st.lists(st.tuples(st.floats(0, 100), st.floats(-1e6, 1e6, allow_subnormal=False)), min_size=1, max_size=30)


@given(points, st.integers(1, 30), st.integers(1, 10))
def test_every_curve_fits_and_has_no_gaps(curve: list[tuple[float, float]], width: int, height: int) -> None:
    picture = draw([Curve("a", curve)], 100, width, height)
    assert [len(row) for row in picture.rows] == [width] * height
    found = dots(picture)
    reached, fresh = set(), {min(found)}
    while fresh:
        reached |= fresh
        near = {(x + dx, y + dy) for x, y in fresh for dx in (-1, 0, 1) for dy in (-1, 0, 1)}
        fresh = near & found - reached
    assert reached == found
    columns = {min(int(x / 100 * 2 * width), 2 * width - 1) for x, _ in curve}
    assert {x for x, _ in found} == set(range(min(columns), max(columns) + 1))
    assert math.isfinite(picture.low + picture.high)
