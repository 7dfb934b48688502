"""Texts by slot are as in a dict, whatever is put, taken back and compacted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.table.slot_texts import LEAST_BYTES, SlotTexts
from tests.examples import examples

ROOM = 40
slots = st.integers(0, ROOM - 1)
texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=12) | st.just("ü" * LEAST_BYTES)
puts = st.dictionaries(slots, texts, max_size=ROOM)


def put(held: SlotTexts, of_slot: dict[int, str | None]) -> None:
    held.put(np.array(list(of_slot), np.int64), pa.array(list(of_slot.values()), pa.string()))


@examples(100)
@given(st.lists(st.tuples(puts, st.booleans()), max_size=6))
def test_texts_are_held_as_in_a_dict(steps: list[tuple[dict[int, str | None], bool]]) -> None:
    held, expected = SlotTexts(), dict[int, str | None]()
    held.reserve(ROOM)
    for new, compacted in steps:
        put(held, new)
        expected |= new
        if compacted:
            held.compact()
        asked = list(range(ROOM))[::-1]
        assert held.take(np.array(asked)).to_pylist() == [expected.get(slot) for slot in asked]
        assert [held[slot] for slot in asked] == [expected.get(slot) for slot in asked]


def test_former_texts_come_back_with_their_bounds_until_they_are_compacted() -> None:
    held = SlotTexts()
    held.reserve(2)
    put(held, {0: "before", 1: None})
    bounds = held.bounds.copy()
    put(held, {0: "x" * LEAST_BYTES, 1: "y" * LEAST_BYTES})
    held.bounds[:] = bounds
    assert held.take(np.arange(2)).to_pylist() == ["before", None]


def test_memory_of_former_texts_is_freed() -> None:
    held = SlotTexts()
    held.reserve(1)
    for number in range(100):
        put(held, {0: str(number % 10) * LEAST_BYTES})
        held.compact()
    assert held[0] == "9" * LEAST_BYTES
    assert held.data.shape[0] < 10 * LEAST_BYTES


def test_a_slice_of_an_array_has_the_texts_of_the_slice() -> None:
    held = SlotTexts()
    held.reserve(3)
    held.put(np.array([2, 0]), pa.array(["zero", None, "two", "three"]).slice(1, 2))
    assert [held[slot] for slot in range(3)] == ["two", None, None]
