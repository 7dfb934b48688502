"""The output of the fold as Avro records: encoded, and read by the reference codec."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.consumer.state.series import ROW, WINDOW
from taskstream.consumer.state.series_table import SeriesTable, Settings, identity
from taskstream.consumer.state.state_records import signal_batch, window_batch
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnWriter
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.ids import TableIds
from tests.consumer.oracle.comparison import RecordedTable, batch_of, partitions_of
from tests.consumer.oracle.streams import stream_of

IDS = TableIds()
EVENTS = stream_of(
    [[("copy", 60, 1), ("reset", 20, 2), *[("stall", 60, 3)] * 12, ("jump_ahead", 3, 5)], [("done", 40, 1)]]
)


def test_windows_are_told_by_name_with_their_rate() -> None:
    table, windows, emitted = folded("windows", bucket_s=30.0)
    records = on_the_wire("RateWindow", window_batch(table, windows))
    assert len(records) == len(windows) > 10
    for record, window in zip(records, windows, strict=True):
        assert key_of(record) == table.keys[window["slot"]]
        assert record["width_s"] == 30.0 * window["minutes"]
        assert record["rate_bps"] == window["bytes"] / record["width_s"]
        assert micros(record["window_start"]) == window["window_start"]
        assert micros(record["closed_at"]) == window["closed_at"]
        assert_same(record, window, ("minutes", "bytes", "complete", "progress", "replicatesize", "totalsize"))
    assert sum(map(len, emitted.values())) == len(records)


def test_the_parts_of_a_key_are_those_of_its_identity() -> None:
    keys = ["p/t/S", "p/a/b//c/S", "//", "p//S", "/t/", "\u00fc/\U0001f600/t/\u00df", "p/t/S"]
    table = SeriesTable()
    traces, no_times = pa.array(["trace"] * len(keys)), pa.nulls(len(keys), pa.string())
    slots = table.put(keys, np.zeros(len(keys), ROW), traces, no_times)
    windows = np.zeros(len(keys), WINDOW)
    windows["slot"], windows["minutes"] = slots, 1

    batch = window_batch(table, windows)

    names = ("project_id", "task_id", "subtask_name")
    found = list(zip(*(batch.column(name).to_pylist() for name in names), strict=True))
    assert found == [identity(key) for key in keys]


def test_signals_are_told_in_words_with_the_numbers_that_decided_them() -> None:
    table, signals, emitted = folded("signals")
    records = on_the_wire("SignalRaised", signal_batch(table, signals))
    assert {record["signal"] for record in records} >= {"RESET", "NO_PROGRESS", "RESUMED", "COMPLETE"}
    for key, expected in emitted.items():
        ours = [record for record in records if key_of(record) == key]
        assert [(each["signal"], each["before"], each["after"]) for each in ours] == [
            (each["signal"], each["before"], each["after"]) for each in expected
        ]
        for record, signal in zip(ours, expected, strict=True):
            for name in ("raised_at", "since", "before_since", "last_seen", "last_advance", "eta", "eta_before"):
                assert micros(record[name]) == signal[name]
            for name in ("limit_s", "rate_fast_bps", "rate_slow_bps", "trend_change_pct"):
                assert (None if record[name] is None else record[name].hex()) == signal[name]
            assert_same(record, signal, ("progress", "replicatesize", "totalsize"))


def folded(kind: str, bucket_s: float = 60.0) -> tuple[SeriesTable, npt.NDArray[np.void], dict[str, Any]]:
    """A table after all events, its output of this kind, and the same output as `RecordedTable` records it."""
    table = SeriesTable(Settings(bucket_s=bucket_s))
    given = getattr(table.fold(batch_of(EVENTS), partitions_of(EVENTS)), kind)
    return table, given, getattr(RecordedTable(SeriesTable(table.settings)).fold(EVENTS), kind)


def on_the_wire(name: str, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    wires = ColumnWriter(IDS, newest(name)).write(batch)
    return [RecordReader(IDS, name).read(wire) for wire in wires]


def key_of(record: dict[str, Any]) -> str:
    return f"{record['project_id']}/{record['task_id']}/{record['subtask_name']}"


def micros(time: datetime | int | None) -> int | None:
    if isinstance(time, datetime):
        return (time - datetime(1970, 1, 1, tzinfo=time.tzinfo)) // timedelta(microseconds=1)
    return time


def assert_same(record: dict[str, Any], other: Any, names: tuple[str, ...]) -> None:
    assert [record[name] for name in names] == [other[name] for name in names]
