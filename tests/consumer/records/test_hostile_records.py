"""Records that can be decoded and hold what no worker or edge writes: each is refused with a reason, none raises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.kafka.direct.message_fetch import batch_of, timestamps_of
from taskstream.consumer.kafka.state_decoder import StateDecoder, UnreadableReason
from taskstream.consumer.records.event_decoder import EventDecoder
from taskstream.consumer.state.series import GAUGES, SIGNAL, WINDOW
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.consumer.state.silence import mark_silent
from taskstream.consumer.state.state_records import signal_batch, state_batch, window_batch
from taskstream.consumer.view.read_model.signal_decoder import SignalDecoder
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnWriter
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.codec.wire_format import Reason
from taskstream.schemas.ids import TableIds
from tests.consumer.oracle.silent_series import silent

IDS = TableIds()
NOW_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000
LARGEST = 2**63 - 1
EVENTS, STATES, SIGNALS = (
    RecordWriter(IDS, newest(name)) for name in ("ProgressReported", "SeriesState", "SignalRaised")
)

EVENT: dict[str, Any] = {
    "event_id": "e",
    "project_id": "p",
    "task_id": "t",
    "received_at": NOW_US,
    "subtask_name": "MIGRATE_LINUX_FILE",
    "progress": 50,
    "replicatesize": 1_000,
    "totalsize": 2_000,
    "process_trace": "",
    "agent_time": None,
}
STATE: dict[str, Any] = {
    "project_id": "p",
    "task_id": "t",
    "subtask_name": "S",
    **dict.fromkeys(("first_seen", "last_seen", "last_advance", "rated_from", "health_since"), NOW_US),
    "open_minute": NOW_US // 60_000_000 * 60_000_000,
    **dict.fromkeys(("reports", "skewed", "stale", "resets", "regressions", "samples"), 1),
    **dict.fromkeys(("replicatesize", "totalsize", "rated_bytes", "open_minute_bytes"), 1_000),
    **dict.fromkeys(("progress", "complete_minutes"), 1),
    **dict.fromkeys(("held", "slow"), False),
    "process_trace": "",
    "agent_time": None,
    "minute_bytes": [1] * 30,
    "event_ids": [-(2**63), *range(1, 16)],
    "trend": "STEADY",
    "health": "OK",
}
SIGNAL_RECORD: dict[str, Any] = {
    **{name: STATE[name] for name in ("project_id", "task_id", "subtask_name")},
    **dict.fromkeys(("raised_at", "since", "before_since", "last_seen", "last_advance"), NOW_US),
    **dict.fromkeys(("progress", "replicatesize", "totalsize"), 1),
    "signal": "SLOW",
    "before": "OK",
    "after": "SLOW",
}


def message(key: str, value: bytes, timestamp_ms: int = NOW_US // 1000, kind: int = 1) -> Message:
    return Message(topic="t", partition=0, offset=0, key=key.encode(), value=value, timestamp=(kind, timestamp_ms))


def decoded(*fields: dict[str, Any], timestamp_ms: int = NOW_US // 1000):
    values = [EVENTS.write(EVENT | each) for each in fields]
    return EventDecoder(IDS).decode(values, np.full(len(values), timestamp_ms, np.int64))


def reasons(*fields: dict[str, Any], timestamp_ms: int = NOW_US // 1000) -> list[tuple[int, Reason]]:
    return [(each.index, each.reason) for each in decoded(*fields, timestamp_ms=timestamp_ms).rejected]


@pytest.mark.parametrize(
    "fields",
    [
        {"received_at": NOW_US + HOUR_US + 1_000},
        {"received_at": 946_684_799_999_999},
        {"received_at": -LARGEST},
        {"received_at": LARGEST},
        {"progress": 101},
        {"progress": -1},
        {"replicatesize": -1},
        {"totalsize": -LARGEST},
        {"remain_time": -1},
        {"migrate_speed": math.inf},
        {"agent_cpu_usage": math.nan},
        {"process_trace": "x" * 8_193},
        {"agent_time": "x" * 1_021},
        {"task_id": "x" * 1_025},
        {"project_id": "p/another"},
        {"subtask_name": "S/another"},
    ],
)
def test_an_event_outside_of_its_bounds_is_rejected_with_the_reason_and_its_neighbours_are_not(fields):
    result = decoded({}, fields, {"progress": 51})

    assert [(each.index, each.reason) for each in result.rejected] == [(1, Reason.OUT_OF_BOUNDS)]
    assert next(iter(fields)) in result.rejected[0].detail
    assert result.batch.column("progress").to_pylist() == [50, 51]
    assert result.kept.tolist() == [0, 2]


@pytest.mark.parametrize(
    "fields",
    [
        {"received_at": NOW_US + HOUR_US},
        {"progress": 0, "replicatesize": LARGEST, "totalsize": LARGEST},
        {"progress": 100, "replicatesize": 0, "totalsize": 0, "remain_time": 2**31 - 1},
        {"process_trace": "x" * 2_048, "agent_time": "x" * 255, "task_id": "a/b"},
        dict.fromkeys(GAUGES, -1e308),
    ],
)
def test_an_event_at_its_bounds_is_folded(fields):
    assert not decoded(fields).rejected


def test_a_record_without_a_timestamp_is_judged_by_its_time_of_receipt_alone():
    assert not reasons({"received_at": NOW_US}, timestamp_ms=-1)
    assert reasons({"received_at": 0}, timestamp_ms=-1)


def test_an_extreme_timestamp_does_not_raise():
    for timestamp_ms in (0, LARGEST, -LARGEST - 1):
        reasons({}, timestamp_ms=timestamp_ms)
    assert reasons({}, timestamp_ms=0)
    for received_at in (LARGEST, -LARGEST - 1):
        assert reasons({"received_at": received_at}, timestamp_ms=253_402_300_799_999)


def test_undecodable_and_impossible_records_are_reported_in_the_order_of_the_batch():
    values = [EVENTS.write(EVENT | {"progress": 101}), b"broken", EVENTS.write(EVENT), b""]
    result = EventDecoder(IDS).decode(values, timestamps_of([message("p/t", each) for each in values]))
    assert [each.index for each in result.rejected] == [0, 1, 3]
    assert result.kept.tolist() == [2]


@pytest.mark.parametrize(
    "fields",
    [
        {"minute_bytes": [1] * 31},
        {"minute_bytes": [1] * 100_000},
        {"minute_bytes": [-1]},
        {"event_ids": [1] * 17},
        {"event_ids": [1] * 100_000},
        {"event_ids": [5, 0]},
        {"complete_minutes": 31},
        {"complete_minutes": -1},
        {"progress": 101},
        {"last_seen": LARGEST},
        {"open_minute": -1},
        {"silent_since": -2},
        {"eta_told": LARGEST},
        {"reports": -1},
        {"replicatesize": -1},
        {"rate_fast_bps": math.inf},
        {"typical_gap_s": -1.0},
        {"eta_s": 1e300},
        {"log_rate_sd": math.nan},
        {"remain_time": -5},
    ],
)
def test_a_row_outside_of_its_bounds_is_unreadable_with_the_reason(fields):
    messages = [
        message("p/t/S", STATES.write(STATE | fields)),
        message("p/u/S", STATES.write(STATE | {"task_id": "u"})),
    ]
    changes = StateDecoder(IDS).decode(batch_of(messages))
    assert changes.keys == ["p/u/S"]
    assert [each.reason for each in changes.unreadable_records] == [UnreadableReason.OUT_OF_BOUNDS]
    assert next(iter(fields)) in changes.unreadable_records[0].detail


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("p/t", {"last_seen": LARGEST}),
        ("p/t", {"progress": -1}),
        ("p/t", {"eta": -1}),
        ("p/t", {"limit_s": math.inf}),
        ("p/other", {}),
        ("p/another/t", {"project_id": "p/another"}),
    ],
)
def test_a_signal_outside_of_its_bounds_or_under_another_key_is_unreadable(key, fields):
    good = message("p/t", SIGNALS.write(SIGNAL_RECORD))
    found = SignalDecoder(IDS).decode(batch_of([message(key, SIGNALS.write(SIGNAL_RECORD | fields)), good]))
    assert (len(found.signals), found.unreadable) == (1, 1)


TIMES = st.one_of(
    st.sampled_from((946_684_800_000_000, 221_845_392_000_000_000, NOW_US, NOW_US + 1, 2**31 * 60_000_000)),
    st.integers(946_684_700_000_000, 221_845_393_000_000_000),
    st.integers(-LARGEST - 1, LARGEST),
)
SIZES = st.one_of(st.sampled_from((0, 1, LARGEST - 1, LARGEST, -1)), st.integers(-10, LARGEST))
DOUBLES = st.one_of(st.none(), st.floats())
REPORTS = st.fixed_dictionaries(
    {
        "received_at": TIMES,
        "progress": st.integers(-1, 101),
        "replicatesize": SIZES,
        "totalsize": SIZES,
        "task_id": st.sampled_from(("t", "u", "", "a/b", "\0", "\N{RIGHT-TO-LEFT OVERRIDE}")),
        "remain_time": st.one_of(st.none(), st.integers(-LARGEST - 1, LARGEST)),
        "migrate_speed": DOUBLES,
        "total_disk_io": DOUBLES,
        "need_migration_test": st.one_of(st.none(), st.booleans()),
    }
)


@given(
    reports=st.lists(REPORTS, min_size=1, max_size=40),
    timestamp_ms=st.sampled_from((-1, 0, NOW_US // 1000, LARGEST)),
    bucket_s=st.sampled_from((0.001, 1.0, 60.0, 86_400.0)),
    later_us=TIMES,
)
def test_whatever_can_be_decoded_can_be_folded_written_and_read_back(reports, timestamp_ms, bucket_s, later_us):
    table = SeriesTable(Settings(bucket_s))
    batch = decoded(*reports, timestamp_ms=timestamp_ms).batch
    folded = table.fold(batch, np.zeros(batch.num_rows, np.int32))
    signals = [folded.signals]
    if (quiet := silent(table.rows, min(max(later_us, 0), 2**57), table.settings.bucket_us)).size:
        signals.append(mark_silent(table, quiet, min(max(later_us, 0), 2**57)))
    ColumnWriter(IDS, newest("RateWindow")).write(
        window_batch(table, np.concatenate([np.empty(0, WINDOW), folded.windows]))
    )
    raised = np.concatenate([np.empty(0, SIGNAL), *signals])
    written = ColumnWriter(IDS, newest("SignalRaised")).write(signal_batch(table, raised))
    keys = [key.rsplit("/", 1)[0] for key in table.keys[raised["slot"]]]
    slots = table.changed
    rows = ColumnWriter(IDS, newest("SeriesState")).write(state_batch(table, slots))

    changes = StateDecoder(IDS).decode(batch_of([message(*each) for each in zip(table.keys[slots], rows, strict=True)]))
    assert [each.detail for each in changes.unreadable_records] == []
    assert (
        SignalDecoder(IDS).decode(batch_of([message(*each) for each in zip(keys, written, strict=True)])).unreadable
        == 0
    )


@given(data=st.data())
def test_whatever_row_is_readable_can_be_folded_on_and_written(data):
    numbers = st.one_of(st.sampled_from((-1, 0, 1, 30, 31, NOW_US, LARGEST)), st.integers(-LARGEST - 1, LARGEST))
    fields: dict[str, Any] = {}
    for field in ColumnWriter(IDS, newest("SeriesState")).schema:
        kind: st.SearchStrategy[Any]
        if pa.types.is_floating(field.type):
            kind = DOUBLES
        elif pa.types.is_int32(field.type):
            kind = st.integers(-2, 101)
        elif pa.types.is_integer(field.type) or pa.types.is_timestamp(field.type):
            kind = numbers
        elif pa.types.is_list(field.type):
            kind = st.lists(numbers, max_size=32)
        elif field.name in ("trend", "health"):
            kind = st.sampled_from(("SLOWING", "WARMING", "COMPLETE", "SILENT", "NO_PROGRESS", "of tomorrow"))
        else:
            continue
        if data.draw(st.integers(0, 5)) == 0:
            fields[field.name] = data.draw(kind)
    table = SeriesTable()
    StateDecoder(IDS).decode(batch_of([message("p/t/S", STATES.write(STATE | fields))])).apply_to(table)
    reports = data.draw(st.lists(REPORTS, max_size=10))
    batch = decoded(*({**each, "task_id": "t", "subtask_name": "S"} for each in reports), timestamp_ms=-1).batch
    folded = table.fold(batch, np.zeros(batch.num_rows, np.int32))
    slots = np.flatnonzero(table.rows["live"])
    ColumnWriter(IDS, newest("SeriesState")).write(state_batch(table, slots))
    ColumnWriter(IDS, newest("RateWindow")).write(window_batch(table, folded.windows))
    ColumnWriter(IDS, newest("SignalRaised")).write(signal_batch(table, folded.signals))
