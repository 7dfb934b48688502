"""Finds the slots of series by their keys: a hash table of 8-byte cells, compiled, that looks up a whole batch at once.

A lookup in a table of a million keys misses the cache several times. The lookups of a batch run in passes (hash, cell,
key), each a loop of independent reads, so that the processor waits for many misses at the same time.
It knows no row.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.consumer.state.series import NONE
from taskstream.consumer.state.table.prefetch import prefetch
from taskstream.consumer.state.table.slot_texts import PackedTexts, SlotTexts
from taskstream.schemas.compiled import compiled

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]

EMPTY, REMOVED = 0, -1
"""Cells without a key. Another cell has 31 bits of the key's hash above 32 bits of its slot + 1."""
LEAST_CELLS = 128
BLOCK = 64
"""How many keys a pass looks at."""
SLOT_BITS = 32
SLOT_MASK = (1 << SLOT_BITS) - 1
TAG_MASK = 0x7FFFFFFF
WORD = np.uint64(8)


def packed_keys(keys: Sequence[str]) -> pa.Array:
    """Keys as UTF-8. Any strings, also those that are not valid Unicode."""
    return pa.array([key.encode("utf-8", "surrogatepass") for key in keys], pa.binary())


class KeyIndex:
    """Slots by keys. The hash is keyed at random, so that nobody can choose keys that collide."""

    def __init__(self) -> None:
        self._secret = np.frombuffer(secrets.token_bytes(16), np.uint64)
        self._cells: Ints = np.zeros(LEAST_CELLS, np.int64)
        self._filled = 0
        """How many cells are not EMPTY."""
        self._held = 0
        self._keys = SlotTexts()

    def __len__(self) -> int:
        return self._held

    def find(self, keys: pa.Array) -> Ints:
        """[keys] The slot of each key, NONE where it has none. keys: strings or binary without nulls."""
        packed = PackedTexts(keys)
        slots: Ints = np.empty(len(keys), np.int64)
        find_keys(packed.data, packed.offsets, self._secret, self._cells, self._keys.bounds, self._keys.data, slots)
        return slots

    def add(self, keys: pa.Array, slots: Ints) -> None:
        """Add keys that are not held, each once, under slots without a key. keys: as for `find`, none of them empty."""
        self._keys.compact()
        self._keys.reserve(int(slots.max(initial=-1)) + 1)
        self._keys.put(slots, keys)
        self._held += len(keys)
        if (self._filled + len(keys)) * 2 > self._cells.shape[0]:
            self._cells = np.zeros(max(LEAST_CELLS, 1 << (self._held * 3 - 1).bit_length()), np.int64)
            self._filled = 0
            slots = np.flatnonzero(self._keys.bounds[:, 1])
        self._filled += insert_slots(slots, self._secret, self._cells, self._keys.bounds, self._keys.data)

    def remove(self, slots: Ints) -> None:
        """Remove the keys of these slots; each has one."""
        remove_slots(slots, self._secret, self._cells, self._keys.bounds, self._keys.data)
        self._keys.bounds[slots] = 0
        self._held -= slots.shape[0]


@compiled
def find_keys(
    data: Bytes, offsets: Offsets, secret: npt.NDArray[np.uint64], cells: Ints, bounds: Ints, held: Bytes, slots: Ints
) -> None:
    """Write the slot of the key data[offsets[i]:offsets[i + 1]] to slots[i]; NONE if it is not held.

    cells: a power of two. bounds: [slots, 2], of each slot's key in `held`.
    """
    mask = cells.shape[0] - 1
    hashes = np.empty(BLOCK, np.uint64)
    found = np.empty(BLOCK, np.int64)
    for first in range(0, slots.shape[0], BLOCK):
        count = min(BLOCK, slots.shape[0] - first)
        for index in range(count):
            hashes[index] = hash_key(data, offsets[first + index], offsets[first + index + 1], secret)
            prefetch(cells, np.int64(hashes[index]) & mask, 0)
        for index in range(count):
            found[index] = (cells[np.int64(hashes[index]) & mask] & SLOT_MASK) - 1
            prefetch(bounds, found[index], 0)
        for index in range(count):
            if 0 <= found[index] < bounds.shape[0]:
                begin = bounds[found[index], 0]
                prefetch(held, begin, 0)
                prefetch(held, begin + offsets[first + index + 1] - offsets[first + index] - 1, 0)
        for index in range(count):
            slots[first + index] = _probe(
                hashes[index], data, offsets[first + index], offsets[first + index + 1], cells, bounds, held
            )


@compiled
def _probe(digest: np.uint64, data: Bytes, begin: int, end: int, cells: Ints, bounds: Ints, held: Bytes) -> int:
    """The slot of one key, NONE if it is not held."""
    mask = cells.shape[0] - 1
    at = np.int64(digest) & mask
    while cells[at] != EMPTY:
        cell = cells[at]
        if cell > 0 and cell >> SLOT_BITS == _tag(digest):
            slot: int = (cell & SLOT_MASK) - 1
            if _same_key(data, begin, end, held, bounds[slot, 0], bounds[slot, 1]):
                return slot
        at = (at + 1) & mask
    return NONE


@compiled
def insert_slots(slots: Ints, secret: npt.NDArray[np.uint64], cells: Ints, bounds: Ints, held: Bytes) -> int:
    """Insert the keys of these slots, which are not held; returns how many cells are no longer EMPTY."""
    mask = cells.shape[0] - 1
    filled = 0
    for index in range(slots.shape[0]):
        slot = slots[index]
        digest = hash_key(held, bounds[slot, 0], bounds[slot, 1], secret)
        at = np.int64(digest) & mask
        while cells[at] > 0:
            at = (at + 1) & mask
        filled += cells[at] == EMPTY
        cells[at] = _tag(digest) << SLOT_BITS | (slot + 1)
    return filled


@compiled
def remove_slots(slots: Ints, secret: npt.NDArray[np.uint64], cells: Ints, bounds: Ints, held: Bytes) -> None:
    """Mark the cells of these slots, which are held, as REMOVED."""
    mask = cells.shape[0] - 1
    for index in range(slots.shape[0]):
        slot = slots[index]
        digest = hash_key(held, bounds[slot, 0], bounds[slot, 1], secret)
        at = np.int64(digest) & mask
        while cells[at] < 0 or (cells[at] & SLOT_MASK) != slot + 1:
            at = (at + 1) & mask
        cells[at] = REMOVED


@compiled
def hash_key(data: Bytes, begin: int, end: int, secret: npt.NDArray[np.uint64]) -> np.uint64:
    """SipHash-1-3 of data[begin:end]; secret: [2].

    Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), with one round per word and
    three at the end.
    """
    v0 = secret[0] ^ np.uint64(0x736F6D6570736575)
    v1 = secret[1] ^ np.uint64(0x646F72616E646F6D)
    v2 = secret[0] ^ np.uint64(0x6C7967656E657261)
    v3 = secret[1] ^ np.uint64(0x7465646279746573)
    at = np.uint64(begin)  # unsigned: numba checks other indices for being negative
    stop = np.uint64(end)
    while at + WORD <= stop:
        word = _word(data, at)
        v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3 ^ word)
        v0 ^= word
        at += WORD
    word = np.uint64(end - begin) << np.uint64(56)
    for place in range(stop - at):
        word |= np.uint64(data[at + place]) << (WORD * place)
    v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3 ^ word)
    v0 ^= word
    v2 ^= np.uint64(0xFF)
    for _ in range(3):
        v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@compiled
def _sip_round(
    v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    v0 += v1
    v1 = _rotated(v1, 13) ^ v0
    v0 = _rotated(v0, 32)
    v2 += v3
    v3 = _rotated(v3, 16) ^ v2
    v0 += v3
    v3 = _rotated(v3, 21) ^ v0
    v2 += v1
    v1 = _rotated(v1, 17) ^ v2
    v2 = _rotated(v2, 32)
    return v0, v1, v2, v3


@compiled
def _rotated(word: np.uint64, bits: int) -> np.uint64:
    return word << np.uint64(bits) | word >> np.uint64(64 - bits)


@compiled
def _word(data: Bytes, at: np.uint64) -> np.uint64:
    word = np.uint64(0)
    for place in range(WORD):  # one 8-byte load in machine code
        word |= np.uint64(data[at + place]) << (WORD * place)
    return word


@compiled
def _tag(digest: np.uint64) -> int:
    return np.int64(digest >> np.uint64(32)) & TAG_MASK  # type: ignore[return-value] # numba gives ints


@compiled
def _same_key(data: Bytes, begin: int, end: int, held: Bytes, held_begin: int, held_end: int) -> bool:
    """Whether data[begin:end] and held[held_begin:held_end] are equal."""
    if end - begin != held_end - held_begin:
        return False
    differences = np.uint64(0)
    at, held_at, stop = np.uint64(begin), np.uint64(held_begin), np.uint64(end)
    while at + WORD <= stop:
        differences |= _word(data, at) ^ _word(held, held_at)
        at += WORD
        held_at += WORD
    while at < stop:
        differences |= np.uint64(data[at] ^ held[held_at])
        at += np.uint64(1)
        held_at += np.uint64(1)
    return bool(differences == np.uint64(0))
