"""What a flight recorder has written, and how it lies in its file.

    header     256 bytes          whose: rank, ranks, process, host; and how far its clock is from the time of day
    records    256 x 192 bytes    a ring: the newest lies where the oldest lay

A record has its running number, its number among the collectives of its group, bytes, peer, start, end and five words.
Numbers are those of the machine that wrote them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hpctrain.comm.rank_words import ranges, ranks_in
from hpctrain.errors import InputError

NUM_RECORDS = 256
HEADER = struct.Struct("=8sqqqd64s")
RECORD = struct.Struct("=qqqqdd144s")
HEADER_BYTES = 256
END_OFFSET = 40  # of the end in a record
FILE_BYTES = HEADER_BYTES + NUM_RECORDS * RECORD.size
MAGIC = b"HPCFLT1\n"

OPEN, UNDER_WAY = 0.0, -1.0
"""In place of the end: the rank is inside; the rank has started it, and goes on meanwhile."""

NOBODY = -1
"""The peer where there is none."""

_BITS = {"bool": 8, "complex64": 64, "complex128": 128}
_SEPARATOR = "\t"
_LONGEST_WORDS = (24, 8, 12, 40, 56)  # letters, of the fields of `words_of`; with separators they fit the record
_LONGEST_RANGES = 28
_AND_MORE = ",..."


@dataclass(frozen=True)
class Record:
    """One operation of one rank.

    Attributes:
        index: running number on this rank, from 1.
        number: among the collectives of the group, from 1 and the same on all its ranks; 0 for other operations.
        num_bytes: of this rank's array.
        peer: root of a collective, or the other rank of a message, in the group; `NOBODY` where there is none.
        started, ended: seconds since 1970 by the clock of the rank; `OPEN` or `UNDER_WAY` in place of the end.
        name, op, dtype: e.g. "all_reduce", "sum", "float32"; empty where there is none.
        group: its ranks in the world as `rank_words.ranges` has them, "#2" added for the second group of the same.
        site: file and line that called the group.
    """

    index: int
    number: int
    num_bytes: int
    peer: int
    started: float
    ended: float
    name: str
    op: str
    dtype: str
    group: str
    site: str

    @property
    def what(self) -> str:
        """ "all_reduce(sum) of float32 x 10"."""
        words = self.name + (f"({self.op})" if self.op else "")
        if self.dtype:
            words += f" of {self.dtype} x {self.num_bytes // _itemsize(self.dtype)}"
        if self.peer != NOBODY:
            words += f", {'to' if self.name == 'send' else 'from'} rank {self.peer}"
        return words

    def meets(self, other: Record) -> bool:
        """Whether two records, of different ranks, are of the same collective."""
        ours, theirs = ((of.group, of.number, of.name, of.op) for of in (self, other))
        return ours == theirs

    @property
    def words(self) -> str:
        """With its number, group and place in the program."""
        ordinal = f"call {self.number} of" if self.number else "in the group of"
        return f"{self.what}, {ordinal} ranks {self.group}, {self.site}"


@dataclass(frozen=True)
class FlightLog:
    """The records of one rank, oldest first."""

    rank: int
    size: int
    pid: int
    host: str
    records: list[Record]


def label(members: Iterable[int], ordinal: int) -> str:
    """The name of a group: its ranks in the world; from the second group of the same ranks on, its ordinal as well."""
    words = ranges(members)
    if len(words) > _LONGEST_RANGES:
        words = words[: words.rindex(",", 0, _LONGEST_RANGES)] + _AND_MORE
    return words if ordinal == 1 else f"{words} #{ordinal}"


def in_group(rank: int, label: str) -> bool:
    """Whether a rank of the world may be in the group of that name; the name of a ragged group is cut short."""
    words = label.partition(" ")[0]
    return words.endswith(_AND_MORE) or rank in ranks_in(words)


def words_of(name: str, op: str, dtype: str, group: str, site: str) -> bytes:
    """The words of a record; of a site that is too long the end is kept, of others the beginning."""
    fields = (name, op, dtype, group, site[-_LONGEST_WORDS[-1] :])
    return _SEPARATOR.join(word[:length] for word, length in zip(fields, _LONGEST_WORDS, strict=True)).encode()[:144]


def decode(memory: bytes | bytearray | memoryview) -> FlightLog:
    """What lies in the memory of a recorder, maybe of one that is being written. Raises InputError where it is none."""
    if len(memory) != FILE_BYTES or bytes(memory[: len(MAGIC)]) != MAGIC:
        raise InputError("it is no flight record")
    _, rank, size, pid, clock, host = HEADER.unpack_from(memory)
    unpacked = (RECORD.unpack_from(memory, HEADER_BYTES + place * RECORD.size) for place in range(NUM_RECORDS))
    records = [_record(fields, clock) for fields in unpacked if fields[0]]
    return FlightLog(rank, size, pid, _text(host), sorted(records, key=lambda record: record.index))


def read(path: Path) -> FlightLog:
    """The record that `path` holds. Raises InputError where it cannot be read, or holds something else."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _record(fields: tuple[int, int, int, int, float, float, bytes], clock: float) -> Record:
    index, number, num_bytes, peer, started, ended, words = fields
    texts = (_text(words).split(_SEPARATOR) + [""] * 5)[:5]
    return Record(index, number, num_bytes, peer, started + clock, ended + clock if ended > 0 else ended, *texts)


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")


def _itemsize(dtype: str) -> int:
    """Bytes of one number of a type of NumPy or torch, by its name: the number in the name is of bits."""
    digits = "".join(filter(str.isdecimal, dtype)) or "8"
    return max(1, _BITS.get(dtype, int(digits)) // 8)
