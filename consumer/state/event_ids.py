"""Recognises events that a series has folded already, by 64-bit hashes of its newest event ids. Pure, compiled.

It knows no report. A row keeps the hashes right-aligned, the newest last; 0 stands for none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import EVENT_IDS
from taskstream.schemas.compiled import compiled

Ints = npt.NDArray[np.int64]

WORD = np.uint64(8)
SHIFT = np.uint64(47)
FACTOR = np.uint64(0xC6A4A7935BD1E995)
NO_ID = 0
"""The hash of an empty event id, which no event repeats."""


@compiled
def hash_event_ids(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], hashes: Ints) -> None:
    """Write MurmurHash64A, with a seed of 0, of the event id data[offsets[event]:offsets[event + 1]] to hashes[event].

    data: the ids as UTF-8, one after another. offsets: [events + 1]. hashes: [events]; NO_ID for an empty id. An id
    whose hash is 0 gets 1. The state holds these hashes, so they never change.
    Source: Austin Appleby, MurmurHash2, 64-bit version for 64-bit processors,
    https://github.com/aappleby/smhasher/blob/master/src/MurmurHash2.cpp
    """
    for event in range(hashes.shape[0]):
        at = np.uint64(offsets[event])
        end = np.uint64(offsets[event + 1])
        if at == end:
            hashes[event] = NO_ID
            continue
        digest = (end - at) * FACTOR
        while at + WORD <= end:
            word = np.uint64(0)
            for place in range(WORD):  # one 8-byte load in machine code
                word |= np.uint64(data[at + place]) << (WORD * place)
            word *= FACTOR
            word ^= word >> SHIFT
            digest = (digest ^ word * FACTOR) * FACTOR
            at += WORD
        if at < end:
            word = np.uint64(0)
            for place in range(end - at):
                word |= np.uint64(data[at + place]) << (WORD * place)
            digest = (digest ^ word) * FACTOR
        digest = (digest ^ digest >> SHIFT) * FACTOR
        digest ^= digest >> SHIFT
        hashes[event] = np.int64(digest) if digest != np.uint64(0) else np.int64(1)


@compiled
def is_duplicate(ids: Ints, event_id: int) -> bool:
    """Whether this hash is among the hashes of a row, `ids`; if not, it becomes the newest of them."""
    if event_id == NO_ID:
        return False
    found = False
    for index in range(EVENT_IDS):  # without an early exit, which costs more than it saves
        found |= ids[index] == event_id
    if found:
        return True
    for index in range(EVENT_IDS - 1):
        ids[index] = ids[index + 1]
    ids[EVENT_IDS - 1] = event_id
    return False
