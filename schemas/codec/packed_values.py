"""Values of many records in one buffer of bytes: what the compiled loops of the codec read. It knows no schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.schemas.codec.column_loops import gather_strings
from taskstream.schemas.errors import BatchTooLarge

LARGEST_BATCH = (1 << 31) - 1
"""The most bytes that one call of a reader accepts: Arrow's string offsets have 32 bits."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedValues:
    """Value i is data[starts[i]:ends[i]]; a null is an empty value. Slices of it are bytes objects made on demand."""

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    """[values]"""
    ends: npt.NDArray[np.int64]
    """[values]"""

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Self:
        """These values, copied one after another.

        Raises:
            BatchTooLarge: the values have 2 GiB or more in total.
        """
        full = [value or b"" for value in values]
        sizes = np.fromiter(map(len, full), np.int64, len(full))
        ends = np.cumsum(sizes)
        if full and ends[-1] > LARGEST_BATCH:
            raise BatchTooLarge(
                f"{len(full)} records have {ends[-1]} bytes, more than one call accepts: split the list"
            )
        return cls(np.frombuffer(b"".join(full), np.uint8), ends - sizes, ends)

    @classmethod
    def from_bounds(cls, data: npt.NDArray[np.uint8], bounds: npt.NDArray[np.int64]) -> Self:
        """Values one after another in `data`. bounds: [values + 1], from the first start to the last end."""
        return cls(data, bounds[:-1], bounds[1:])

    @classmethod
    def of_texts(cls, texts: pa.StringArray) -> Self:
        """The UTF-8 bytes of an Arrow array of strings, in its buffer."""
        _, offsets, data = texts.buffers()
        bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
        return cls.from_bounds(np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8), bounds)

    def __len__(self) -> int:
        count: int = self.ends.shape[0]
        return count

    def __getitem__(self, index: int) -> bytes:
        return self.data[self.starts[index] : self.ends[index]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        """All values; one copy of the buffer serves them all."""
        whole = self.data.tobytes()
        return (whole[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True))

    def to_arrow(self) -> pa.BinaryArray:
        """The same values as an Arrow array, in the same buffer where they lie in it one after another."""
        if not len(self):
            return pa.array([], pa.binary())
        data, bounds = self.data, np.append(self.starts, self.ends[-1:]).astype(np.int32)
        if not np.array_equal(self.starts[1:], self.ends[:-1]):
            lengths = self.ends - self.starts
            bounds = np.zeros(len(self) + 1, np.int32)
            np.cumsum(lengths, out=bounds[1:])
            data = np.empty(int(bounds[-1]), np.uint8)
            gather_strings(self.data, self.starts, lengths, bounds, data)
        return pa.Array.from_buffers(pa.binary(), len(self), [None, pa.py_buffer(bounds), pa.py_buffer(data)])

    def part(self, start: int, end: int) -> PackedValues:
        """The values from index `start` up to `end`, in the same buffer."""
        return PackedValues(self.data, self.starts[start:end], self.ends[start:end])

    def take(self, indices: npt.NDArray[np.int64]) -> PackedValues:
        """The values with these indices, in the same buffer."""
        return PackedValues(self.data, self.starts[indices], self.ends[indices])


Values = Sequence[bytes | None] | PackedValues
"""Values of records: as objects, or packed."""
