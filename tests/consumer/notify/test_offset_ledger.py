"""Which offset is committed while others before it are open, and what a restart knows of those after it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.notify.offset_ledger import OffsetLedger, settled_after


def test_the_committed_offset_is_that_of_the_first_open_record():
    ledger = OffsetLedger(10)
    for offset in (10, 11, 13):
        ledger.read(offset, 1)
    ledger.settle(11)

    assert ledger.commit() == (10, "taskstream notify 10 11-12")
    ledger.settle(10)
    assert ledger.commit() == (13, "taskstream notify 13")
    ledger.settle(13)
    assert ledger.commit() == (14, "taskstream notify 14")


def test_a_record_of_two_parts_is_settled_with_the_second():
    ledger = OffsetLedger(0)
    ledger.read(0, 2)
    ledger.settle(0)
    assert ledger.commit()[0] == 0
    ledger.settle(0)
    assert ledger.commit()[0] == 1


def test_a_record_of_no_parts_is_settled_at_once_and_an_unknown_one_is_ignored():
    ledger = OffsetLedger(0)
    ledger.read(0, 0)
    ledger.settle(5)

    assert ledger.commit() == (1, "taskstream notify 1")


def test_metadata_of_another_program_or_another_offset_says_nothing():
    assert settled_after(3, "taskstream notify 3 5-7") == [(5, 7)]
    assert settled_after(4, "taskstream notify 3 5-7") == []
    assert settled_after(3, "taskstream 3") == []
    assert settled_after(3, None) == []


def test_metadata_stays_within_what_kafka_accepts():
    ledger = OffsetLedger(0)
    for offset in range(20_000):
        ledger.read(offset, offset % 2 ^ 1)

    assert len(ledger.commit()[1]) <= 3_000


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=40),
    st.data(),
)
def test_a_restart_repeats_what_is_open_and_nothing_else(parts, data):
    first = OffsetLedger(0)
    for offset, each in enumerate(parts):
        first.read(offset, each)
    done = data.draw(st.sets(st.sampled_from(range(len(parts)))))
    for offset in done:
        for _ in range(parts[offset]):
            first.settle(offset)
    open_offsets = [offset for offset, each in enumerate(parts) if each and offset not in done]
    assert [offset for offset in range(len(parts)) if first.is_open(offset)] == open_offsets

    begin, metadata = first.commit()
    second = OffsetLedger(begin, metadata)
    assert [offset for offset in range(begin, len(parts)) if not second.is_settled(offset)] == open_offsets
    reread = data.draw(st.integers(begin, len(parts)))
    for offset in range(begin, reread):
        second.read(offset, 0 if second.is_settled(offset) else 1)
    third = OffsetLedger(*second.commit())
    assert [offset for offset in range(begin, len(parts)) if not third.is_settled(offset)] == open_offsets
