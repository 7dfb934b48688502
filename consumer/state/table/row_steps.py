"""What happens to the rows of a batch around the fold: noted as touched, saved, given the latest numbers. Compiled.

It decides nothing, and knows no key.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import GAUGES, ROW, Rows
from taskstream.consumer.state.table.prefetch import prefetch
from taskstream.schemas.compiled import compiled

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.int64]
"""[rows, ROW_WORDS] The memory of rows."""
Latest = tuple[Words, Ints, npt.NDArray[np.int8]]
"""The last three arguments of `copy_latest`."""

WORD = 8
ROW_WORDS = ROW.itemsize // WORD
GAUGE_COUNT = len(GAUGES)
FIRST_GAUGE = ROW.fields[GAUGES[0]][1] // WORD  # type: ignore[index] # a structured dtype has fields
EVENTS_AHEAD = 16
ROWS_AHEAD = 4
"""How many events ahead the numbers of slots are loaded, and rows."""
FIRST_BYTES = 256
"""How much of a row is loaded ahead: the processor loads what follows it by itself while the row is copied."""
LINE = 64
"""Bytes of a cache line."""


def words_of(rows: Rows) -> Words:
    """[rows, ROW_WORDS] The memory of contiguous rows, not copied."""
    return rows.view(np.int64).reshape(rows.shape[0], ROW_WORDS)


@compiled
def touch_slots(
    slots: Ints,
    written_at: Ints,
    write: int,
    changed: npt.NDArray[np.bool_],
    code_of: npt.NDArray[np.int32],
    codes: npt.NDArray[np.int32],
    touched: Ints,
    unsaved: Ints,
    unsaved_at: Ints,
) -> tuple[int, int]:
    """Set written_at of these slots to `write`, a number above all in it, and `changed`; list which slots there are.

    slots: [events]. code_of: [slots], scratch. Written: codes [events], the index of each event's slot in `touched`;
    touched, each slot once; unsaved, those of them that were not changed before, and unsaved_at, the index of the event
    that touches it first. Returns the numbers of touched and of unsaved slots.
    """
    touched_count = 0
    unsaved_count = 0
    for event in range(slots.shape[0]):
        if event + EVENTS_AHEAD < slots.shape[0]:
            coming = slots[event + EVENTS_AHEAD]
            prefetch(written_at, coming, 0)
            prefetch(code_of, coming, 0)
            prefetch(changed, coming, 0)
        slot = slots[event]
        if written_at[slot] != write:
            written_at[slot] = write
            code_of[slot] = touched_count
            touched[touched_count] = slot
            touched_count += 1
            if not changed[slot]:
                changed[slot] = True
                unsaved[unsaved_count] = slot
                unsaved_at[unsaved_count] = event
                unsaved_count += 1
        codes[event] = code_of[slot]
    return touched_count, unsaved_count


@compiled
def prefetch_row(words: Words, slot: int) -> None:
    """Load the begin of the row of this slot; do not wait for it."""
    for offset in range(0, FIRST_BYTES, LINE):
        prefetch(words, slot, offset)


@compiled
def copy_row(words: Words, slot: int, saved: Words, index: int) -> None:
    """Copy the row of this slot to saved[index]."""
    for word in range(ROW_WORDS):
        saved[index, word] = words[slot, word]


@compiled
def copy_latest(
    rows: Rows,
    words: Words,
    slot: int,
    event: int,
    gauges: Words,
    remain_time: Ints,
    need_migration_test: npt.NDArray[np.int8],
) -> None:
    """Copy the numbers of an event, which are not folded, into its row.

    words: the memory of `rows`. gauges: [GAUGE_COUNT, events], the bits of the floats. remain_time,
    need_migration_test: [events].
    """
    rows[slot]["remain_time"] = remain_time[event]
    rows[slot]["need_migration_test"] = need_migration_test[event]
    for gauge in range(GAUGE_COUNT):
        words[slot, FIRST_GAUGE + gauge] = gauges[gauge, event]
