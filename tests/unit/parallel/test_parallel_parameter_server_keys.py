"""Keys: every element on exactly one server, and what is taken apart comes together again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.errors import SettingsError
from hpctrain.job.settings import Parallel
from hpctrain.parallel.parameter_server import keys
from hpctrain.parallel.parameter_server.keys import BLOCK, CUTS, joined, num_elements, spread, within
from hpctrain.parallel.parameter_server.pushes import rows_in
from hpctrain.parallel.parameter_server.servers import Servers

lengths = st.integers(0, 10 * BLOCK)
cuts = st.sampled_from(sorted(CUTS))


@given(cuts, lengths, st.integers(1, 9), st.integers(0, 5))
def test_every_element_is_on_one_server(cut: str, length: int, num_servers: int, bucket: int) -> None:
    parts = CUTS[cut](length, num_servers, bucket)
    assert len(parts) == num_servers
    owners = np.zeros(length, int)
    for pieces in parts:
        for piece in pieces:
            assert piece.stop > piece.start
            owners[piece] += 1
        assert all(before.stop < after.start for before, after in pairwise(pieces))
    assert (owners == 1).all()


def test_hashed_blocks_are_spread_evenly_and_another_way_in_each_bucket() -> None:
    parts = [keys.by_hash(1000 * BLOCK, 4, bucket) for bucket in range(2)]
    shares = [num_elements(pieces) / (1000 * BLOCK) for pieces in parts[0]]
    assert min(shares) > 0.2
    assert max(shares) < 0.3
    assert parts[0] != parts[1]


def test_a_block_keeps_its_server_when_the_bucket_grows() -> None:
    shorter, longer = (keys.by_hash(blocks * BLOCK, 3, 0) for blocks in (50, 70))
    for before, after in zip(shorter, longer, strict=True):
        owned = np.zeros(70 * BLOCK, bool)
        for piece in after:
            owned[piece] = True
        assert sum(owned[: 50 * BLOCK]) == num_elements(before)
        assert all(owned[piece].all() for piece in before)


@given(cuts, lengths, st.integers(1, 4))
def test_joined_parts_are_spread_where_they_were(cut: str, length: int, num_servers: int) -> None:
    values = np.arange(length)
    found = np.full(length, -1)
    for pieces in CUTS[cut](length, num_servers, 0):
        part = joined(values, pieces)
        assert part.size == num_elements(pieces)
        spread(part, found, pieces)
    np.testing.assert_array_equal(found, values)


@given(lengths, lengths, lengths, st.integers(1, 4))
def test_what_lies_within_is_found_in_the_joined_part(length: int, first: int, last: int, num_servers: int) -> None:
    start, stop = sorted((min(first, length), min(last, length)))
    values = np.arange(length)
    found = []
    for pieces in keys.by_hash(length, num_servers, 0):
        part = joined(values, pieces)
        for offset, elements in within(pieces, start, stop):
            np.testing.assert_array_equal(part[offset : offset + elements.stop - elements.start], values[elements])
            found += values[elements].tolist()
    assert sorted(found) == list(range(start, stop))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 100), st.integers(1, 5))
def test_matrices_are_the_whole_rows_in_a_part(rows: int, columns: int, before: int, num_servers: int) -> None:
    """Each row is in one part at most, and where it is, it is found whole."""
    length = before + rows * columns + 3
    places = [(0, (before,)), (before, (rows, columns)), (before + rows * columns, (3,))]
    values = np.arange(length)
    seen: list[int] = []
    for pieces in keys.by_range(length, num_servers, 0):
        part = joined(values, pieces)
        for offset, (found_rows, found_columns) in rows_in(places, pieces):
            assert found_columns == columns
            matrix = part[offset : offset + found_rows * columns].reshape(found_rows, columns)
            assert ((matrix[:, 0] - before) % columns == 0).all()
            seen += matrix[:, 0].tolist()
    assert len(set(seen)) == len(seen)
    assert len(seen) >= rows - (num_servers - 1)


@given(st.integers(1, 20), st.integers(1, 20), st.booleans())
def test_roles(size: int, number: int, dedicated: bool) -> None:
    settings = Parallel(strategy="parameter_server", num_servers=number, dedicated_servers=dedicated)
    if number > size - dedicated:
        with pytest.raises(SettingsError, match=rf"num_servers={number} .*{size}"):
            Servers.of(settings, size)
        return
    servers = Servers.of(settings, size)
    assert len(set(servers.ranks)) == number
    assert {*servers.ranks, *servers.workers} == set(range(size))
    assert not dedicated or not set(servers.ranks) & set(servers.workers)
    assert 0 in servers.workers
    gaps = np.diff([*servers.ranks, size]) if not dedicated else np.ones(1)
    assert gaps.max() <= -(-size // number) or dedicated
