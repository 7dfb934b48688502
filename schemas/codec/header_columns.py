"""The headers of many records as columns, and those of CloudEvents for the records that one process writes."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from taskstream.schemas.cloud_events import Headers, constant_headers, rfc3339
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.compiled import compiled_in_place

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

HeaderColumns = Sequence[tuple[str, bytes | PackedValues]]
"""Headers of many records: each has one value for all records, or one value for each."""
_POWERS_OF_TEN: Final = 10 ** np.arange(1, 19)


class NumberedEvents:
    """The headers of the records that one process writes, one record after the other; their ids are numbered.

    An id is 32 hexadecimal digits, random for each instance of this class, a hyphen, and the number of the record. A
    number is used once, also if the transaction of its record is aborted.
    """

    def __init__(self, record: str, source: str) -> None:
        self._constant = constant_headers(record, source)
        self._prefix = np.frombuffer(f"{uuid.uuid4().hex}-".encode(), np.uint8)
        self._next = 0

    def columns(self, count: int) -> HeaderColumns:
        """The headers of `count` more records."""
        begin, self._next = self._next, self._next + count
        return [("ce_id", _numbered(self._prefix, begin, self._next)), *self._constant]

    def timed_columns(self, times_us: Sequence[int]) -> HeaderColumns:
        """The same for one more record per time (microseconds since 1970 UTC), each with its `ce_time`."""
        times = PackedValues.of([rfc3339(at_us) for at_us in times_us])
        return [*self.columns(len(times_us)), ("ce_time", times)]


def header_lists(columns: HeaderColumns, count: int) -> Iterator[Headers]:
    """The headers of each of `count` records."""
    names = [name for name, _ in columns]
    values = [itertools.repeat(each) if isinstance(each, bytes) else iter(each) for _, each in columns]
    return (list(zip(names, map(next, values), strict=True)) for _ in range(count))


def headers_part(columns: HeaderColumns, begin: int, end: int) -> HeaderColumns:
    """The headers of the records from index `begin` up to `end`."""
    return [(name, each if isinstance(each, bytes) else each.part(begin, end)) for name, each in columns]


def _numbered(prefix: Bytes, begin: int, end: int) -> PackedValues:
    """The prefix followed by each number from `begin` up to `end`, in decimal."""
    digits = 1 + np.searchsorted(_POWERS_OF_TEN, np.arange(begin, end), side="right")
    bounds = np.zeros(end - begin + 1, np.int64)
    np.cumsum(prefix.shape[0] + digits, out=bounds[1:])
    data = np.empty(int(bounds[-1]), np.uint8)
    _write_numbers(prefix, begin, bounds, data)
    return PackedValues.from_bounds(data, bounds)


@compiled_in_place
def _write_numbers(prefix: Bytes, begin: int, bounds: Ints, data: Bytes) -> None:
    """Write the prefix and the number begin + row to data[bounds[row]:bounds[row + 1]]."""
    for row in range(bounds.shape[0] - 1):
        for place in range(prefix.shape[0]):
            data[bounds[row] + place] = prefix[place]
        number = begin + row
        for place in range(bounds[row + 1] - 1, bounds[row] + prefix.shape[0] - 1, -1):
            data[place] = np.uint8(ord("0") + number % 10)
            number //= 10
