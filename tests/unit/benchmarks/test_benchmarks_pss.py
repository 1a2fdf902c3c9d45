"""Proportional memory, out of what Linux says."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from harness.pss import Mapping, mappings, share, total

SMAPS = """\
1000-3000 rw-p 00000000 00:00 0
Size:                  8 kB
Rss:                   8 kB
Pss:                   8 kB
Pss_Dirty:             8 kB
VmFlags: rd wr mr mw me ac sd
7f0000000000-7f0000010000 rw-s 00000000 00:01 77                         /dev/shm/hpctrain-x (deleted)
Size:                 64 kB
Rss:                  64 kB
Pss:                  16 kB
"""


@pytest.fixture
def maps(tmp_path: Path) -> list[Mapping]:
    (tmp_path / "smaps").write_text(SMAPS)
    return mappings(tmp_path / "smaps")


def test_every_mapping_is_read(maps: list[Mapping]) -> None:
    assert maps == [Mapping(0x1000, 0x3000, 8192), Mapping(0x7F0000000000, 0x7F0000010000, 16384)]
    assert total(maps) == 8192 + 16384


def test_a_range_gets_its_part_of_a_mapping(maps: list[Mapping]) -> None:
    assert share(maps, [(0x1000, 0x1000)]) == 4096
    assert share(maps, [(0x7F0000000000, 0x8000)]) == 8192


def test_a_range_may_reach_over_mappings_and_beyond(maps: list[Mapping]) -> None:
    assert share(maps, [(0x2000, 0x5000), (0x7F000000F000, 0x9000)]) == 4096 + 1024
    assert share(maps, [(0x9000, 0x1000)]) == 0


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux alone has it")
def test_memory_counts_when_it_is_touched() -> None:
    length = 8 * 2**20
    array = np.frombuffer(mmap.mmap(-1, length), np.uint8)  # shared, so that Linux joins it to no other mapping
    place = [(array.ctypes.data, length)]
    assert share(mappings(), place) == 0
    array[: length // 2] = 1
    assert share(mappings(), place) == length // 2
