"""Values in one buffer: as bytes, as parts of it, and as an Arrow array."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from taskstream.schemas.codec.packed_values import PackedValues

VALUES = [b"a", b"", b"long value", b"\xff\x00", b"z"]


@pytest.mark.parametrize("chosen", [[], [0], [0, 1, 2, 3, 4], [2, 3], [4, 0, 2], [1, 1]])
def test_an_arrow_array_has_the_values_whether_they_lie_one_after_another_or_not(chosen):
    taken = PackedValues.of(VALUES).take(np.array(chosen, np.int64))

    assert taken.to_arrow().equals(pa.array([VALUES[index] for index in chosen], pa.binary()))


def test_a_part_is_in_the_same_buffer():
    packed = PackedValues.of(VALUES)

    assert packed.part(2, 4).to_arrow().to_pylist() == list(packed.part(2, 4)) == VALUES[2:4]
    assert packed.part(2, 4).data is packed.data


def test_a_null_is_an_empty_value():
    assert PackedValues.of([None, b"x"]).to_arrow().to_pylist() == [b"", b"x"]
