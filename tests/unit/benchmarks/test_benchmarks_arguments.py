"""What options take, and what they refuse."""

from __future__ import annotations

import argparse

import pytest
from harness.arguments import positive_numbers, some_of
from harness.sizes import bytes_of, float32_sizes, size_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "size"), [("4", 4), ("4 B", 4), ("64KiB", 65536), ("64 KiB", 65536), ("1MiB", 2**20), ("2GiB", 2**31)]
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "0", "-4", "4kB", "1.5MiB", "MiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f'"{text}" is no size'):
        bytes_of(text)


@pytest.mark.parametrize(("size", "text"), [(4, "4 B"), (65536, "64 KiB"), (1025, "1025 B"), (2**24, "16 MiB")])
def test_a_size_is_written_in_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert size_of(size) == text


@given(st.integers(1, 2**40))
def test_a_size_survives_being_written(size: int) -> None:
    assert bytes_of(size_of(size)) == size


def test_sizes_of_float32_are_whole_numbers_of_them() -> None:
    assert float32_sizes("4,1KiB") == [4, 1024]
    with pytest.raises(argparse.ArgumentTypeError, match="6 bytes"):
        float32_sizes("4,6")


def test_names_are_picked_in_the_order_in_which_they_are_given() -> None:
    assert some_of(["a", "b", "c"])("c,a") == ["c", "a"]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no x: use some of a, b"):
        some_of(["a", "b"])("a,x")


def test_numbers_are_positive() -> None:
    assert positive_numbers("2,8") == [2, 8]
    with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
        positive_numbers("2,0")
