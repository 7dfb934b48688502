"""What the headers of a rejected record say, what a note is, and what is redriven."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.kafka.raw_record import Headers, RawRecord
from taskstream.consumer.rejects.redrive import redrive
from taskstream.consumer.rejects.redrive_choice import KeptReject, RedriveChoice
from taskstream.consumer.rejects.redrive_transaction import MAX_RECORDS
from taskstream.consumer.rejects.rejected_record import (
    NOTE,
    REDRIVES,
    is_note,
    note_of,
    offsets_in_note,
    ranges_of,
    reject_of,
)
from taskstream.consumer.rejects.rejects_reader import JudgedReject

TOPIC = "taskstream.progress"
ORIGIN: Headers = [
    ("taskstream_reason", b"truncated"),
    ("taskstream_detail", b"too short"),
    ("taskstream_topic", TOPIC.encode()),
    ("taskstream_partition", b"2"),
    ("taskstream_offset", b"41"),
    ("taskstream_timestamp_ms", b"1790000000000"),
]


def rejected(offset: int = 5, more: Sequence[tuple[str, str | bytes | None]] = (), partition: int = 1) -> RawRecord:
    return RawRecord(
        "taskstream.rejected", partition, offset, 1_800_000_000_000, b"p/t", b"bytes", [("ce_id", b"1"), *ORIGIN, *more]
    )


def judged(
    offset: int = 5,
    *,
    redriven: bool = False,
    readable: bool = True,
    more: Sequence[tuple[str, str | bytes | None]] = (),
) -> JudgedReject:
    return JudgedReject(reject_of(rejected(offset, more)), redriven, readable)


def test_the_headers_have_the_origin_and_the_reason():
    found = reject_of(rejected())

    assert (found.reason, found.detail) == ("truncated", "too short")
    assert (found.topic, found.partition, found.offset, found.timestamp_ms) == (TOPIC, 2, 41, 1_790_000_000_000)
    assert (found.location, found.redrives) == ("1:5", 0)


def test_headers_that_the_worker_and_the_redrive_added_are_removed():
    assert reject_of(rejected(more=[(REDRIVES, b"2")])).headers_as_received() == [("ce_id", b"1")]


def test_a_record_that_no_worker_rejected_has_an_unknown_reason():
    found = reject_of(RawRecord("r", 0, 0, None, None, None, [("taskstream_partition", b"x"), ("a", None)]))

    assert (found.reason, found.partition, found.redrives) == ("unknown", None, 0)


@pytest.mark.parametrize("offsets", [[], [7], [3, 4, 5, 9], [9, 3, 5, 4]])
def test_a_note_has_the_offsets_that_were_redriven(offsets):
    value, headers = note_of(offsets)
    note = RawRecord("taskstream.rejected", 1, 9, None, None, value, headers)

    assert is_note(note)
    assert offsets_in_note(note) == set(offsets)


def test_offsets_in_a_row_are_one_range():
    assert ranges_of([9, 3, 5, 4]) == [[3, 5], [9, 9]]


def test_a_rejected_record_that_came_with_a_notes_header_is_no_note():
    assert not is_note(rejected(more=[(NOTE, b"driven")]))


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[1]", b'{"driven": [1]}', b'{"driven": [["a", 2]]}'])
def test_a_note_that_cannot_be_read_names_nothing(value):
    assert offsets_in_note(RawRecord("r", 0, 0, None, None, value, [(NOTE, b"driven")])) == set()


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (judged(), None),
        (judged(redriven=True), KeptReject.REDRIVEN),
        (judged(readable=False), KeptReject.UNREADABLE),
        (judged(more=[(REDRIVES, b"2")]), None),
        (judged(more=[(REDRIVES, b"3")]), KeptReject.EXHAUSTED),
        (judged(more=[("taskstream_topic", b"other.progress")]), KeptReject.ELSEWHERE),
        (judged(more=[("taskstream_partition", b"12")]), KeptReject.ELSEWHERE),
    ],
)
def test_a_record_that_is_kept_has_its_reason(found, why):
    assert RedriveChoice(TOPIC, 12, max_redrives=3).why_kept(found) == why


def test_an_unreadable_record_is_redriven_when_it_is_chosen():
    assert RedriveChoice(TOPIC, 12, max_redrives=3, unreadable_too=True).why_kept(judged(readable=False)) is None


def test_reasons_locations_and_tasks_narrow_the_choice():
    def matches(**words: object) -> bool:
        return RedriveChoice(TOPIC, 12, 3, **words).matches(judged())

    assert matches(reasons=frozenset(["truncated"]), locations=frozenset(["1:5"]), selection=KeySelection("p", "t"))
    assert not matches(reasons=frozenset(["empty"]))
    assert not matches(locations=frozenset(["1:6"]))
    assert not matches(selection=KeySelection("q"))


class RecordedTransaction:
    """Keeps the offsets of each transaction."""

    def __init__(self) -> None:
        self.portions: list[list[int]] = []

    def redrive(self, rejects) -> None:
        self.portions.append([each.record.offset for each in rejects])


def test_portions_keep_the_order_and_none_is_left_behind():
    transaction = RecordedTransaction()

    complete, counts = redrive(
        [[judged(n) for n in range(2 * MAX_RECORDS + 7)]], RedriveChoice(TOPIC, 12, 3), transaction
    )

    assert complete
    assert counts.redriven == 2 * MAX_RECORDS + 7
    assert [len(each) for each in transaction.portions] == [MAX_RECORDS, MAX_RECORDS, 7]
    assert [offset for portion in transaction.portions for offset in portion] == list(range(2 * MAX_RECORDS + 7))


def test_stopping_leaves_the_portions_that_are_not_begun():
    transaction = RecordedTransaction()

    complete, counts = redrive([[judged(1)]], RedriveChoice(TOPIC, 12, 3), transaction, stopping=lambda: True)

    assert (complete, counts.redriven, transaction.portions) == (False, 0, [])
