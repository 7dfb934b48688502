"""The one decoder of ProgressReported records: wire bytes to columns that the fold can process without an exception.

A record outside of the bounds is rejected with its reason, as one that cannot be decoded. The decision depends on the
record's bytes and its Kafka timestamp alone, so a replay, a comparison and a redrive repeat it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.consumer.records.record_bounds import (
    EVENT_RANGES,
    MAX_AGENT_TIME_BYTES,
    MAX_NAME_BYTES,
    MAX_TRACE_BYTES,
    ahead_of_timestamps,
    ambiguous_names,
    outside_ranges,
    too_long,
)
from taskstream.consumer.state.series_table import EVENT_COLUMNS
from taskstream.schemas.codec.column_codec import ColumnReader, Decoded, Rejected
from taskstream.schemas.codec.packed_values import Values
from taskstream.schemas.codec.wire_format import Reason
from taskstream.schemas.ids import SchemaIds

Ints = npt.NDArray[np.int64]

_LENGTHS: Final = {
    **dict.fromkeys(("project_id", "task_id", "subtask_name"), MAX_NAME_BYTES),
    "process_trace": MAX_TRACE_BYTES,
    "agent_time": MAX_AGENT_TIME_BYTES,
}


class EventDecoder:
    """Decodes lists of values of the progress topic to the columns `EVENT_COLUMNS`."""

    def __init__(self, ids: SchemaIds) -> None:
        self._reader = ColumnReader(ids, "ProgressReported", EVENT_COLUMNS)

    def decode(self, values: Values, timestamps_ms: Ints) -> Decoded:
        """The records that can be folded, in their order, and the others with their reasons.

        timestamps_ms: [values] Kafka's timestamp of each record; negative where it has none.

        Raises:
            RegistryFailed: a schema had to be looked up, and the registry did not answer.
        """
        decoded = self._reader.read(values)
        batch = decoded.batch
        if batch.num_rows == 0:
            return decoded
        received_at_us = np.asarray(batch.column("received_at").cast(pa.int64()))
        found = (
            ahead_of_timestamps(received_at_us, timestamps_ms[decoded.kept])
            | ambiguous_names(batch)
            | too_long(batch, _LENGTHS)
            | outside_ranges(batch, EVENT_RANGES)
        )
        if not found:
            return decoded
        kept = np.delete(np.arange(batch.num_rows), list(found))
        rejected = [Rejected(int(decoded.kept[row]), Reason.OUT_OF_BOUNDS, found[row]) for row in found]
        rejected = sorted([*decoded.rejected, *rejected], key=lambda each: each.index)
        return Decoded(batch.take(pa.array(kept)), decoded.kept[kept], rejected)
