"""The log of changes answers what a scan of all numbers answers, however far back a reader asks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.table.change_log import ChangeLog

NUMBERS = 12
changes = st.lists(st.lists(st.integers(0, NUMBERS - 1), max_size=6), max_size=20)


@given(changes, st.integers(0, 30))
def test_any_reader_gets_the_numbers_that_changed_after_its_count(several, most):
    log = ChangeLog(most)
    log.grow(NUMBERS)
    for numbers in several:
        log.note(np.array(numbers, np.int64))
    for count in range(log.count + 1):
        expected = sorted({number for numbers in several[count:] for number in numbers})
        assert log.since(count).tolist() == expected


def test_a_change_is_kept_as_it_was_when_the_array_is_written_again():
    log = ChangeLog()
    log.grow(3)
    numbers = np.array([1], np.int64)
    log.note(numbers)
    numbers[0] = 2
    assert log.since(0).tolist() == [1]


def test_changes_of_nothing_take_no_memory():
    log = ChangeLog()
    for _ in range(10):
        log.note(np.zeros(0, np.int64))
    assert log.count == 10
    assert len(log._logged) == 0
