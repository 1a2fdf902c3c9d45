"""Where the records of a CSV file begin and end, found without parsing it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpctrain.errors import DataError

_BLOCK_BYTES = 4 * 2**20
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class CsvIndex:
    """The records of a file, blank lines left out.

    Attributes:
        content: the bytes of the file, mapped.
        starts, stops: (records,) int64; record k, its line end included, is `content[starts[k]:stops[k]]`.
    """

    content: np.ndarray
    starts: np.ndarray
    stops: np.ndarray

    @classmethod
    def of(cls, path: Path) -> CsvIndex:
        """Index a file. A line break inside quotes (an odd number of quotes before it) ends no record: RFC 4180.

        Raises DataError where quotes do not pair up.
        """
        if not path.stat().st_size:
            return cls(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
        content = np.asarray(np.memmap(path, np.uint8, mode="r"))
        stops, quotes = [np.empty(0, np.int64)], 0
        for start in range(0, len(content), _BLOCK_BYTES):
            block = content[start : start + _BLOCK_BYTES]
            breaks = np.flatnonzero(block == _NEWLINE)
            is_quote = block == _QUOTE
            if quotes or is_quote.any():
                before = quotes + np.cumsum(is_quote, dtype=np.int64)
                breaks = breaks[before[breaks] % 2 == 0]
                quotes = int(before[-1]) % 2
            stops.append(breaks + start + 1)
        if quotes:
            raise DataError(f"{path} has an odd number of quotes: one is opened and not closed")
        ends = np.concatenate([*stops, [len(content)]])
        first = len(_BYTE_ORDER_MARK) if bytes(content[:3]) == _BYTE_ORDER_MARK else 0
        starts = np.concatenate([[first], ends[:-1]])
        full = ends > starts
        starts, ends = starts[full], ends[full]
        length, head = ends - starts, content[starts]
        blank = (head == _NEWLINE) | ((length <= 2) & (head == _RETURN))
        return cls(content, starts[~blank], ends[~blank])

    def __len__(self) -> int:
        return len(self.starts)

    def text(self, records: np.ndarray) -> bytes:
        """The records of these numbers, one after the other."""
        bounds = zip(self.starts[records].tolist(), self.stops[records].tolist(), strict=True)
        return b"".join(self.content[start:stop].tobytes() for start, stop in bounds)

    def line(self, record: int) -> int:
        """The line of the file, from 1, on which a record begins. Reads the file up to there: for messages."""
        return int((self.content[: self.starts[record]] == _NEWLINE).sum()) + 1
