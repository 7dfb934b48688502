"""The index of keys agrees with a dict, whatever is added and removed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.series import NONE
from taskstream.consumer.state.table.key_index import LEAST_CELLS, KeyIndex, packed_keys
from tests.examples import examples

keys = st.text(st.characters(exclude_categories=()), max_size=20) | st.integers(0, 40).map(str)


def find(index: KeyIndex, names: list[str]) -> list[int]:
    return index.find(packed_keys(names)).tolist()


def add(index: KeyIndex, slots: dict[str, int]) -> None:
    index.add(packed_keys(list(slots)), np.array(list(slots.values()), np.int64))


@examples(100)
@given(st.lists(st.tuples(st.sets(keys, max_size=60), st.sets(keys, max_size=60)), max_size=6))
def test_keys_are_found_as_in_a_dict(steps: list[tuple[set[str], set[str]]]) -> None:
    index, expected = KeyIndex(), dict[str, int]()
    free = iter(range(1_000_000))
    for added, removed in steps:
        new = {key: next(free) for key in sorted(added - {""} - set(expected))}
        add(index, new)
        expected |= new
        gone = [expected.pop(key) for key in sorted(removed & set(expected))]
        index.remove(np.array(gone, np.int64))
        asked = sorted(added | removed | {"never"})
        assert find(index, asked) == [expected.get(key, NONE) for key in asked]
        assert len(index) == len(expected)


def test_slots_and_cells_are_used_again_by_many_keys_one_after_another() -> None:
    index = KeyIndex()
    for number in range(20 * LEAST_CELLS):
        key = f"project/{number:032x}/MIGRATE"
        assert find(index, [key]) == [NONE]
        add(index, {key: number % 3})
        assert find(index, [key, f"project/{number - 1:032x}/MIGRATE"]) == [number % 3, NONE]
        index.remove(np.array([number % 3]))


def test_keys_that_differ_in_one_byte_or_in_length_are_different() -> None:
    index = KeyIndex()
    names = ["a" * size for size in range(1, 40)] + ["a" * size + "b" for size in range(40)]
    add(index, {name: slot for slot, name in enumerate(names)})
    assert find(index, names) == list(range(len(names)))
    assert find(index, ["a" * 40, "b" * 8, "a" * 8 + "c", "ab" * 4]) == [NONE] * 4


def test_a_slice_of_an_array_has_the_keys_of_the_slice() -> None:
    index = KeyIndex()
    array = pa.array(["zero", "one", "two", "three"]).slice(1, 2)
    index.add(array, np.array([7, 8]))
    assert find(index, ["zero", "one", "two", "three"]) == [NONE, 7, 8, NONE]
    assert index.find(array).tolist() == [7, 8]
    assert index.find(array.slice(0, 0)).tolist() == []
