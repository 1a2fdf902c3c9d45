import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.layout.blocks import block, blocks


@given(st.integers(0, 1000), st.integers(1, 50))
def test_blocks_are_the_whole_range_in_order_and_even(length: int, parts: int) -> None:
    cuts = blocks(length, parts)
    assert [index for cut in cuts for index in range(length)[cut]] == list(range(length))
    sizes = [cut.stop - cut.start for cut in cuts]
    assert max(sizes) - min(sizes) <= 1
    assert cuts == [block(length, parts, index) for index in range(parts)]


@pytest.mark.parametrize(("length", "parts", "index"), [(5, 2, 2), (5, 2, -1), (-1, 2, 0), (5, 0, 0)])
def test_no_such_block(length: int, parts: int, index: int) -> None:
    with pytest.raises(ValueError, match="no block"):
        block(length, parts, index)
