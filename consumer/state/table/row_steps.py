"""What happens to the rows of a batch around the fold: noted as touched, saved, given the latest numbers. Compiled.

It decides nothing, and knows no key.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import GAUGES, ROW, Rows
from taskstream.schemas.compiled import compiled

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.int64]
"""[rows, ROW_WORDS] The memory of rows."""

WORD = 8
ROW_WORDS = ROW.itemsize // WORD
GAUGE_COUNT = len(GAUGES)
FIRST_GAUGE = ROW.fields[GAUGES[0]][1] // WORD  # type: ignore[index] # a structured dtype has fields


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
def copy_rows(rows: Words, slots: Ints, saved: Words) -> None:
    """Copy rows[slots] to `saved`."""
    for index in range(slots.shape[0]):
        slot = slots[index]
        for word in range(ROW_WORDS):
            saved[index, word] = rows[slot, word]


@compiled
def copy_latest(
    rows: Rows,
    words: Words,
    slots: Ints,
    codes: npt.NDArray[np.int32],
    accepted: npt.NDArray[np.bool_],
    gauges: Words,
    remain_time: Ints,
    need_migration_test: npt.NDArray[np.int8],
    last: Ints,
    begin: int,
    end: int,
) -> None:
    """Copy the numbers of the accepted events from `begin` to `end` into their rows, and note them in last[code].

    words: the memory of `rows`. gauges: [GAUGE_COUNT, events], the bits of the floats. remain_time,
    need_migration_test: [events]. codes: see `touch_slots`.
    """
    for event in range(begin, end):
        if accepted[event]:
            slot = slots[event]
            last[codes[event]] = event
            rows[slot]["remain_time"] = remain_time[event]
            rows[slot]["need_migration_test"] = need_migration_test[event]
            for gauge in range(GAUGE_COUNT):
                words[slot, FIRST_GAUGE + gauge] = gauges[gauge, event]
