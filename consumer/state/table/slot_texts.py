"""One text per slot, or none: UTF-8 in one buffer, without a Python object per text.

A new text is appended; the bytes of the one before stay until `compact`. So a rollback only needs the old bounds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.consumer.state.table.prefetch import prefetch
from taskstream.schemas.compiled import compiled

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]

LEAST_BYTES = 1 << 16
AHEAD = 16
"""How many texts ahead memory is asked for."""


class PackedTexts:
    """Texts as UTF-8, one after another: text i is data[offsets[i]:offsets[i + 1]]."""

    def __init__(self, array: pa.Array) -> None:
        """array: strings or binary; null is an empty text."""
        _, offsets, data = array.buffers()
        self.offsets: Offsets = np.zeros(1, np.int32)
        if len(array):
            self.offsets = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
        self.data: Bytes = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)

    def __len__(self) -> int:
        return len(self.offsets) - 1


class SlotTexts:
    """Texts by slot."""

    def __init__(self) -> None:
        self.bounds: Ints = np.zeros((0, 2), np.int64)
        """[slot, 2] begin and end of the slot's text in `data`; 0, 0 for none. No text begins at 0."""
        self.data: Bytes = np.zeros(LEAST_BYTES, np.uint8)
        self._used = 1
        """How many bytes of `data` were written since it was made."""
        self._kept = 1
        """How many of them belonged to texts when it was made."""

    def __getitem__(self, slot: int) -> str | None:
        begin, end = self.bounds[slot]
        return self.data[begin:end].tobytes().decode() if end else None

    def take(self, slots: Ints) -> pa.StringArray:
        """[slots] The texts of these slots; null for none."""
        bounds = np.take(self.bounds, slots, axis=0)
        offsets = np.zeros(slots.shape[0] + 1, np.int32)
        np.cumsum(bounds[:, 1] - bounds[:, 0], out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        copy_texts(self.data, bounds, data)
        held = np.packbits(bounds[:, 1] > 0, bitorder="little")
        buffers = [pa.py_buffer(each) for each in (held, offsets, data)]
        return pa.Array.from_buffers(pa.string(), slots.shape[0], buffers)

    def reserve(self, slots: int) -> None:
        """Make room for the slots below `slots`."""
        if slots > self.bounds.shape[0]:
            bounds: Ints = np.zeros((max(slots, self.bounds.shape[0] * 3 // 2), 2), np.int64)
            bounds[: self.bounds.shape[0]] = self.bounds
            self.bounds = bounds

    def put(self, slots: Ints, texts: pa.Array) -> None:
        """Set the texts of these slots. texts: [slots] strings or binary; null for none."""
        packed = PackedTexts(texts)
        first, size = int(packed.offsets[0]), int(packed.offsets[-1] - packed.offsets[0])
        if self._used + size > self.data.shape[0]:
            data: Bytes = np.empty((self._used + size) * 3 // 2, np.uint8)
            data[: self._used] = self.data[: self._used]
            self.data = data
        self.data[self._used : self._used + size] = packed.data[first : first + size]
        held = np.asarray(texts.is_valid()) if texts.null_count else np.ones(len(texts), np.bool_)
        put_bounds(self.bounds, slots, packed.offsets, held, self._used - first)
        self._used += size

    def compact(self) -> None:
        """Free the bytes of former texts, if there can be many. Bounds that were copied before are void then."""
        if self._used > 2 * self._kept + LEAST_BYTES:
            held, sizes = self.bounds[:, 1] > 0, self.bounds[:, 1] - self.bounds[:, 0]
            ends = 1 + np.cumsum(sizes)
            self._kept = 1 + int(sizes.sum())
            packed: Bytes = np.empty(2 * self._kept + 2 * LEAST_BYTES, np.uint8)
            copy_texts(self.data, self.bounds, packed[1:])
            self.bounds[:, 0], self.bounds[:, 1] = np.where(held, ends - sizes, 0), np.where(held, ends, 0)
            self._used, self.data = self._kept, packed


@compiled
def put_bounds(bounds: Ints, slots: Ints, offsets: Offsets, held: npt.NDArray[np.bool_], begin: int) -> None:
    """Set the bounds of these slots' texts to their offsets, [texts + 1], after `begin`; to 0, 0 if not held."""
    for text in range(slots.shape[0]):
        if text + AHEAD < slots.shape[0]:
            prefetch(bounds, slots[text + AHEAD], 0)
        bounds[slots[text], 0] = begin + offsets[text] if held[text] else 0
        bounds[slots[text], 1] = begin + offsets[text + 1] if held[text] else 0


@compiled
def copy_texts(data: Bytes, bounds: Ints, copies: Bytes) -> None:
    """Copy data[begin:end] for each of `bounds`, [texts, 2], to `copies`, one after another."""
    used = 0
    for text in range(bounds.shape[0]):
        if text + AHEAD < bounds.shape[0]:
            prefetch(data, bounds[text + AHEAD, 0], 0)
        for at in range(bounds[text, 0], bounds[text, 1]):
            copies[used] = data[at]
            used += 1
