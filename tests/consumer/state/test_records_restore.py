"""A row that is published and read back is the same row, and later reports change it as if it had stayed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.series import ROW, EtaReason, Health, Trend
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.consumer.state.state_records import rows_of, state_batch, strings_of
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnReader, ColumnWriter
from taskstream.schemas.ids import TableIds
from tests.consumer.oracle.comparison import RecordedTable, exactly
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.silent_series import silent
from tests.consumer.oracle.streams import START, US, stream_of, streams
from tests.examples import examples

IDS = TableIds()
STATE = newest("SeriesState")


@examples(80)
@given(streams(), st.integers(0, 300), st.integers(0, 7200), st.sampled_from((60.0, 60.0, 1.0)))
def test_a_restored_table_goes_on_as_if_it_had_never_been_away(
    events: list[Event], moved: int, later_s: int, bucket_s: float
) -> None:
    stayed = SeriesTable(Settings(bucket_s=bucket_s))
    RecordedTable(stayed).fold(events[:moved]).mark_silent(START + later_s * US)
    came_back = restored(stayed)
    assert exactly(came_back) == exactly(stayed)
    went_on, expected = RecordedTable(came_back).fold(events[moved:]), RecordedTable(stayed).fold(events[moved:])
    assert exactly(came_back) == exactly(stayed)
    assert went_on.windows == expected.windows
    assert went_on.signals == expected.signals


def test_the_newest_record_of_a_key_wins_when_several_are_read_back() -> None:
    events = stream_of([[("copy", 50, 1), ("drift", 20, 2)], [("copy", 9, 3)]])
    table = SeriesTable()
    came_back = SeriesTable()
    for begin in range(0, len(events), 10):
        RecordedTable(table).fold(events[begin : begin + 10])
        put_back(table, table.changed, came_back)
        table.commit()
    assert exactly(came_back) == exactly(table)


def test_of_several_records_of_a_key_read_at_once_the_newest_wins() -> None:
    events = stream_of([[("copy", 50, 1), ("drift", 20, 2)], [("copy", 9, 3)]])
    table = SeriesTable()
    batches, keys = [], []
    for begin in range(0, len(events), 10):
        RecordedTable(table).fold(events[begin : begin + 10])
        batches.append(state_batch(table, table.changed))
        keys += table.keys[table.changed].tolist()
        table.commit()
    together = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    homes = np.array([table.rows["partition"][table.find([key])[0]] for key in keys], np.int32)
    came_back = SeriesTable()
    came_back.put(keys, rows_of(together, homes), *strings_of(together))
    assert exactly(came_back) == exactly(table)


def test_a_part_of_a_batch_gives_its_own_rows() -> None:
    table = SeriesTable()
    RecordedTable(table).fold(stream_of([[("copy", 40 * number, number)] for number in range(1, 6)]))
    slots = np.arange(5)
    whole = rows_of(state_batch(table, slots), table.rows["partition"][slots])
    part = rows_of(state_batch(table, slots).slice(2, 2), table.rows["partition"][slots][2:4])
    assert all(part[name].tobytes() == whole[2:4][name].tobytes() for name in whole.dtype.names or ())


def test_a_row_that_an_older_version_wrote_is_read_and_folded_on() -> None:
    """The golden bytes of SeriesState.v1, whose limits and reasons are unknown, go on as a row of the newest version."""
    golden = json.loads((Path(__file__).parents[2] / "schemas" / "golden" / "SeriesState.v1.json").read_text())
    decoded = ColumnReader(IDS, STATE.name).read([bytes.fromhex(golden["typical"])])
    row = rows_of(decoded.batch, np.zeros(1, np.int32))
    assert (row["report_gaps"], row["advance_gaps"], row["eta_reason"]) == (0, 0, EtaReason.NONE)
    assert np.isnan([row[name][0] for name in ("quiet_limit_s", "stall_limit_s", "growth_bps", "slow_baseline")]).all()
    assert (row["eta_rates"][0] == [row[name][0] for name in ("rate_fast_bps", "rate_slow_bps", "rate_slow_bps")]).all()
    assert row["counted_s"][0] == (row["last_seen"][0] - row["rated_from"][0]) / US
    assert (row["claim_at"] == -1).all()
    assert not row["block_counts"].any()
    key = "/".join(decoded.batch.column(name)[0].as_py() for name in ("project_id", "task_id", "subtask_name"))
    table = SeriesTable()
    table.put([key], row, *strings_of(decoded.batch))
    slot, seen_us, done = table.find([key])[0], int(row["last_seen"][0]), int(row["replicatesize"][0])
    assert silent(table.rows, seen_us + 600 * US, 60 * US).tolist() == []
    assert silent(table.rows, seen_us + 601 * US, 60 * US).tolist() == [slot]
    reports = [
        Event(key, seen_us + 5 * US * count, 43, done + 300_000_000 * count, 10**12, {"process_trace": ""})
        for count in range(1, 240)
    ]
    recorded = RecordedTable(table).fold(reports)
    after = table.rows[slot]
    assert (after["reports"], after["report_gaps"], after["advance_gaps"]) == (229 + 239, 239, 239)
    assert (after["quiet_limit_s"], after["stall_limit_s"], after["typical_gap_s"]) == (60.0, 60.0, 5.0)
    assert (Health(after["health"]), Trend(after["trend"])) == (Health.OK, Trend.STEADY)
    assert after["eta_s"] > 0.0
    assert after["growth_bps"] >= 0.0
    assert {each["signal"] for each in recorded.signals[key]} <= {"ETA_MOVED"}
    assert exactly(restored(table)) == exactly(table)


def test_a_table_that_expects_many_series_grows_for_them_up_to_eightfold_and_keeps_its_rows() -> None:
    table = SeriesTable()
    room = []
    for count in (60, 70, 600):
        table.expect(1_000)
        keys = [f"p/{number}/S" for number in range(count)]
        rows = np.zeros(count, ROW)
        rows["live"], rows["reports"] = True, np.arange(count)
        strings = pa.array(keys)
        table.put(keys, rows, strings, strings)
        room.append(table.rows.shape[0])
    assert room == [64, 512, 1_000]
    slots = table.find([f"p/{number}/S" for number in range(600)])
    assert table.rows["reports"][slots].tolist() == list(range(600))


def restored(table: SeriesTable) -> SeriesTable:
    """What a new worker would hold after reading these rows from the state topic."""
    fresh = SeriesTable(table.settings)
    put_back(table, np.flatnonzero(table.rows["live"]), fresh)
    return fresh


def put_back(table: SeriesTable, slots: np.ndarray, into: SeriesTable) -> None:
    wire = ColumnWriter(IDS, STATE).write(state_batch(table, slots))
    decoded = ColumnReader(IDS, STATE.name).read(wire)
    assert decoded.rejected == []
    rows = rows_of(decoded.batch, table.rows["partition"][slots])
    into.put(table.keys[slots].tolist(), rows, *strings_of(decoded.batch))
