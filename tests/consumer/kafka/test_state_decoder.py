"""Records of the state topic into rows: the last record of each key, and the reason of each that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
from confluent_kafka import Message

from taskstream.consumer.errors import StateUnreadable
from taskstream.consumer.kafka.direct.message_fetch import batch_of
from taskstream.consumer.kafka.state_decoder import StateDecoder, UnreadableReason, require_readable
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.state_records import state_batch
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnWriter
from tests.consumer.kafka.fakes import message
from tests.consumer.replay.test_difference import START, US, Event, table
from tests.pipeline.streams import IDS

A, B = "p/a/S", "p/b/S"


def value_of(source: SeriesTable, key: str) -> bytes:
    (value,) = ColumnWriter(IDS, newest("SeriesState")).write(state_batch(source, source.find([key])))
    return value


SOURCE = table(Event("a", START, 7), Event("b", START))
VALUES = {key: value_of(SOURCE, key) for key in (A, B)}


def record(key: str | bytes, value: bytes | None, offset: int = 0, partition: int = 0) -> Message:
    return message(offset, key if isinstance(key, bytes) else key.encode(), value, partition)


def decode(*messages: Message):
    return StateDecoder(IDS).decode(batch_of(messages))


def test_rows_and_strings_are_those_that_were_written():
    changes = decode(record(A, VALUES[A], 0, 3), record(B, VALUES[B], 1, 2))

    assert (changes.keys, changes.dropped, changes.unreadable) == ([A, B], [], 0)
    assert changes.rows["replicatesize"].tolist() == [7, 0]
    assert changes.rows["partition"].tolist() == [3, 2]
    assert (changes.traces.to_pylist(), changes.agent_times.to_pylist()) == (["", ""], [None, None])


def test_of_a_key_the_last_record_counts():
    newer = table(Event("a", START, 7), Event("a", START + US, 9))

    assert decode(record(A, VALUES[A]), record(A, value_of(newer, A))).rows["replicatesize"].tolist() == [9]
    assert decode(record(A, b"broken"), record(A, VALUES[A])).unreadable == 0


def test_a_tombstone_drops_its_key_and_a_later_row_brings_it_back():
    assert decode(record(A, VALUES[A]), record(A, None)).dropped == [A]
    assert decode(record(A, None), record(A, VALUES[A])).keys == [A]


def test_what_cannot_be_decoded_is_reported_and_the_others_are_kept():
    changes = decode(record(A, b"broken", 8), record(B, VALUES[B]))

    (unreadable,) = changes.unreadable_records
    assert (unreadable.reason, unreadable.record.offset) == (UnreadableReason.NOT_DECODABLE, 8)
    assert changes.keys == [B]


@pytest.mark.parametrize("key", ["p/another/S", "p", b"", b"\xff/a/S"])
def test_a_record_under_another_key_is_reported_and_the_others_are_kept(key):
    changes = decode(record(key, VALUES[A], 8), record(B, VALUES[B]))

    (unreadable,) = changes.unreadable_records
    assert (unreadable.reason, unreadable.record.offset) == (UnreadableReason.KEY_DIFFERS, 8)
    assert (changes.keys, changes.rows.shape, len(changes.traces)) == ([B], (1,), 1)


def test_a_comparison_takes_a_row_under_another_series_key_and_none_under_a_foreign_one():
    decoder = StateDecoder(IDS, any_key=True)

    assert decoder.decode(batch_of([record("p/another/S", VALUES[A])])).keys == ["p/another/S"]
    (unreadable,) = decoder.decode(batch_of([record("p", VALUES[A])])).unreadable_records
    assert unreadable.reason == UnreadableReason.KEY_DIFFERS


def test_a_tombstone_under_a_key_of_no_series_is_reported_and_drops_nothing():
    changes = decode(record("foreign", None))

    assert [each.reason for each in changes.unreadable_records] == [UnreadableReason.FOREIGN_TOMBSTONE]
    assert (changes.dropped, changes.unreadable) == ([], 1)


def test_no_records_are_no_changes():
    changes = decode()
    assert (list(changes.keys), list(changes.dropped), changes.unreadable) == ([], [], 0)


def test_changes_are_applied_to_a_table():
    found = SeriesTable()
    decode(record(A, VALUES[A]), record(B, VALUES[B])).apply_to(found)
    decode(record(A, None)).apply_to(found)

    assert found.keys[np.flatnonzero(found.rows["live"])].tolist() == [B]


def test_a_caller_that_must_have_every_row_stops_with_the_records_position_and_what_to_do():
    with pytest.raises(StateUnreadable, match=r"^t\.state-2 offset 8 is not a record of our state \(.*\): do this$"):
        require_readable(decode(record(A, b"broken", 8, 2)), "do this")
    with pytest.raises(StateUnreadable, match="its key is 'p/another/S', and its series is 'p/a/S'"):
        require_readable(decode(record("p/another/S", VALUES[A])), "do this")


def test_a_foreign_tombstone_stops_no_one():
    require_readable(decode(record("foreign", None), record(A, VALUES[A])), "do this")
