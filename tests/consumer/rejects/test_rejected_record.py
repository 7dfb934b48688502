"""What a rejected record tells by its headers, what a note is, and what is driven back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from taskstream.consumer.kafka.carried_record import CarriedRecord, Headers
from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.rejects.redrive import redrive
from taskstream.consumer.rejects.redrive_choice import KeptReject, RedriveChoice
from taskstream.consumer.rejects.redrive_transaction import PORTION
from taskstream.consumer.rejects.rejected_record import DRIVES, NOTE, driven_by, is_note, note_of, ranges_of, reject_of
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


def rejected(offset: int = 5, more: Sequence[tuple[str, str | bytes | None]] = (), partition: int = 1) -> CarriedRecord:
    return CarriedRecord(
        "taskstream.rejected", partition, offset, 1_800_000_000_000, b"p/t", b"bytes", [("ce_id", b"1"), *ORIGIN, *more]
    )


def judged(
    offset: int = 5, *, driven: bool = False, readable: bool = True, more: Sequence[tuple[str, str | bytes | None]] = ()
) -> JudgedReject:
    return JudgedReject(reject_of(rejected(offset, more)), driven, readable)


def test_the_headers_tell_where_it_came_from_and_why():
    found = reject_of(rejected())

    assert (found.reason, found.detail) == ("truncated", "too short")
    assert (found.topic, found.partition, found.offset, found.timestamp_ms) == (TOPIC, 2, 41, 1_790_000_000_000)
    assert (found.place, found.drives) == ("1:5", 0)


def test_what_the_worker_and_the_redrive_added_is_taken_off():
    assert reject_of(rejected(more=[(DRIVES, b"2")])).headers_as_received() == [("ce_id", b"1")]


def test_a_strangers_record_is_one_of_unknown_reason():
    found = reject_of(CarriedRecord("r", 0, 0, None, None, None, [("taskstream_partition", b"x"), ("a", None)]))

    assert (found.reason, found.partition, found.drives) == ("unknown", None, 0)


@pytest.mark.parametrize("offsets", [[], [7], [3, 4, 5, 9], [9, 3, 5, 4]])
def test_a_note_names_what_was_driven(offsets):
    value, headers = note_of(offsets)
    note = CarriedRecord("taskstream.rejected", 1, 9, None, None, value, headers)

    assert is_note(note)
    assert driven_by(note) == set(offsets)


def test_offsets_in_a_row_are_one_range():
    assert ranges_of([9, 3, 5, 4]) == [[3, 5], [9, 9]]


def test_a_rejected_record_that_came_with_a_notes_header_is_no_note():
    assert not is_note(rejected(more=[(NOTE, b"driven")]))


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[1]", b'{"driven": [1]}', b'{"driven": [["a", 2]]}'])
def test_a_note_that_cannot_be_read_names_nothing(value):
    assert driven_by(CarriedRecord("r", 0, 0, None, None, value, [(NOTE, b"driven")])) == set()


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (judged(), None),
        (judged(driven=True), KeptReject.DRIVEN),
        (judged(readable=False), KeptReject.UNREADABLE),
        (judged(more=[(DRIVES, b"2")]), None),
        (judged(more=[(DRIVES, b"3")]), KeptReject.EXHAUSTED),
        (judged(more=[("taskstream_topic", b"other.progress")]), KeptReject.ELSEWHERE),
        (judged(more=[("taskstream_partition", b"12")]), KeptReject.ELSEWHERE),
    ],
)
def test_what_is_not_driven_has_its_reason(found, why):
    assert RedriveChoice(TOPIC, 12, max_drives=3).kept(found) == why


def test_the_unreadable_is_driven_when_it_is_asked_for():
    assert RedriveChoice(TOPIC, 12, max_drives=3, unreadable_too=True).kept(judged(readable=False)) is None


def test_reasons_places_and_tasks_narrow_what_is_meant():
    def asked(**words: object) -> bool:
        return RedriveChoice(TOPIC, 12, 3, **words).asked(judged())

    assert asked(reasons=frozenset(["truncated"]), places=frozenset(["1:5"]), selection=KeySelection("p", "t"))
    assert not asked(reasons=frozenset(["empty"]))
    assert not asked(places=frozenset(["1:6"]))
    assert not asked(selection=KeySelection("q"))


class Remembering:
    """Stands where the transactions are."""

    def __init__(self) -> None:
        self.portions: list[list[int]] = []

    def back(self, rejects) -> None:
        self.portions.append([each.record.offset for each in rejects])


def test_portions_keep_the_order_and_none_is_left_behind():
    drive = Remembering()

    whole, account = redrive([[judged(n) for n in range(2 * PORTION + 7)]], RedriveChoice(TOPIC, 12, 3), drive)

    assert whole
    assert account.driven == 2 * PORTION + 7
    assert [len(each) for each in drive.portions] == [PORTION, PORTION, 7]
    assert [offset for portion in drive.portions for offset in portion] == list(range(2 * PORTION + 7))


def test_a_wish_to_stop_leaves_the_portions_that_are_not_begun():
    drive = Remembering()

    whole, account = redrive([[judged(1)]], RedriveChoice(TOPIC, 12, 3), drive, stopping=lambda: True)

    assert (whole, account.driven, drive.portions) == (False, 0, [])
