"""Runs one invented event through every compiled function, so that no member compiles while it holds partitions.

The machine code is cached on disk: only the first start after a change of the sources takes longer.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from taskstream.consumer.state.series import SIGNAL, WINDOW
from taskstream.consumer.state.series_table import EVENT_COLUMNS, SeriesTable
from taskstream.consumer.state.state_records import rows_of, signal_batch, state_batch, window_batch
from taskstream.consumer.state.tasks.task_health import TaskHealth
from taskstream.schemas.catalog import newest
from taskstream.schemas.cloud_events import WORKER
from taskstream.schemas.codec.column_codec import ColumnReader, ColumnWriter
from taskstream.schemas.codec.header_columns import NumberedEvents
from taskstream.schemas.ids import SchemaIds

_EVENT = {
    "event_id": "warm",
    "project_id": "warm",
    "task_id": "warm",
    "subtask_name": "WARM",
    "received_at": 0,
    "progress": 1,
    "replicatesize": 1,
    "totalsize": 2,
    "process_trace": "",
}


def warm_up_jit(ids: SchemaIds) -> None:
    """Decode, fold, judge and encode one event of a series that is then discarded."""
    events = ColumnWriter(ids, newest("ProgressReported"))
    columns = [pa.array([_EVENT.get(field.name)], field.type) for field in events.schema]
    wires = events.write(pa.RecordBatch.from_arrays(columns, schema=events.schema))
    table = SeriesTable()
    table.fold(ColumnReader(ids, "ProgressReported", EVENT_COLUMNS).read(wires).batch, np.zeros(1, np.int32))
    TaskHealth(table).refresh()
    states = ColumnWriter(ids, newest("SeriesState")).write(state_batch(table, table.changed))
    rows_of(ColumnReader(ids, "SeriesState").read(states).batch, np.zeros(1, np.int32))
    ColumnWriter(ids, newest("RateWindow")).write(window_batch(table, _one(WINDOW)))
    ColumnWriter(ids, newest("SignalRaised")).write(signal_batch(table, _one(SIGNAL)))
    NumberedEvents("RateWindow", WORKER).columns(1)
    table.rollback()


def _one(kind: np.dtype[np.void]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """One entry of zeros; a window covers at least one minute."""
    entry = np.zeros(1, kind)
    if "minutes" in (kind.names or ()):
        entry["minutes"] = 1
    return entry
