"""Converts rows of the table to SeriesState records and back, windows to RateWindow and signals to SignalRaised.

Columns in, columns out. Null in a record is NaN or NONE in a row. It decides nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import EVENT_IDS, MINUTES, NONE, ROW, EtaReason, Health, Rows, Signal, Trend
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.codec.read_plan import Column, columns_of

Ints = npt.NDArray[np.int64]

_STATE = columns_of(newest("SeriesState"))
_WINDOW = columns_of(newest("RateWindow"))
_SIGNAL = columns_of(newest("SignalRaised"))
_MAX_INT = 2**31 - 1
"""The most that `minutes` of a RateWindow can hold: a gap of 4,000 years, or of a month with buckets of 1 ms."""


_COMPUTED = frozenset({"trend", "health", "eta_reason", "minute_bytes", "event_ids"})
_MEANS, _BLOCKS, _CLAIMS = ("1", "10", "all"), ("4", "32"), ("50", "75")
_ITEMS: dict[str, tuple[str, tuple[int, ...]]] = {
    **{f"eta_rate_{name}_bps": ("eta_rates", (mean,)) for mean, name in enumerate(_MEANS)},
    **{
        f"block_{length}_{name}": (f"block_{field}", (block,))
        for block, length in enumerate(_BLOCKS)
        for name, field in (("s", "s"), ("bytes", "bytes"), ("count", "counts"))
    },
    **{
        f"block_{length}_{name}": (field, (block, mean))
        for block, length in enumerate(_BLOCKS)
        for mean, of in enumerate(_MEANS)
        for name, field in ((f"rate_{of}_bps", "block_rates"), (f"error_{of}", "block_errors"))
    },
    **{
        f"claim_{part}_{name}": (f"claim_{name}", (claim,))
        for claim, part in enumerate(_CLAIMS)
        for name in ("at", "eta_s", "width")
    },
}
"""[column] The field of a row that has several items, and the index of the column's item."""
_ZERO = frozenset(
    {"counted_s", *(name for name, (field, _) in _ITEMS.items() if field in ("block_s", "block_bytes"))}
    | {name for name, (field, _) in _ITEMS.items() if field in ("block_errors", "block_counts")}
)
"""Columns of doubles that are 0 where a record of an older schema has none."""
_COUNTS = frozenset({"report_gaps", "advance_gaps", "eta_late_minutes", "eta_early_minutes"})
"""Columns that are 0 where a record of an older schema has none."""


def state_batch(table: SeriesTable, slots: Ints) -> pa.RecordBatch:
    """SeriesState records of these rows, one per slot."""
    rows = np.take(table.rows, slots)  # five times as fast as rows[slots]
    computed = _identity_columns(table, slots)
    computed["process_trace"] = table.traces.take(slots)
    computed["agent_time"] = table.agent_times.take(slots)
    computed["trend"] = _names_of(Trend, rows["trend"])
    computed["health"] = _names_of(Health, rows["health"])
    computed["eta_reason"] = _reasons_of(rows["eta_reason"])
    computed["minute_bytes"] = _newest_items(rows["minute_bytes"], held_minutes(rows, table.settings.bucket_us))
    computed["event_ids"] = _newest_items(rows["event_ids"], np.count_nonzero(rows["event_ids"], axis=1))
    return _batch(_STATE, rows, computed)


def window_batch(table: SeriesTable, windows: npt.NDArray[np.void]) -> pa.RecordBatch:
    """RateWindow records of [WINDOW]."""
    computed = _identity_columns(table, windows["slot"])
    width_s = windows["minutes"] * table.settings.bucket_s
    computed["minutes"] = pa.array(np.minimum(windows["minutes"], _MAX_INT), pa.int32())
    computed["width_s"] = pa.array(width_s)
    computed["rate_bps"] = pa.array(windows["bytes"] / width_s)
    return _batch(_WINDOW, windows, computed)


def signal_batch(table: SeriesTable, signals: npt.NDArray[np.void]) -> pa.RecordBatch:
    """SignalRaised records of [SIGNAL]."""
    computed = _identity_columns(table, signals["slot"])
    computed["signal"] = _names_of(Signal, signals["signal"])
    computed["before"] = _names_of(Health, signals["before"])
    computed["after"] = _names_of(Health, signals["after"])
    return _batch(_SIGNAL, signals, computed)


def rows_of(batch: pa.RecordBatch, partitions: npt.NDArray[np.int32]) -> Rows:
    """The rows that these SeriesState records were made from. partitions: [records], where each was read."""
    rows = np.zeros(batch.num_rows, ROW)
    rows["live"] = True
    rows["partition"] = partitions
    for column in _STATE:
        if (column.name not in (ROW.names or ()) and column.name not in _ITEMS) or column.name in _COMPUTED:
            continue
        array = batch.column(column.name)
        if pa.types.is_timestamp(array.type):
            array = array.cast(pa.int64())
        if pa.types.is_boolean(array.type):
            array = array.cast(pa.int8())
        is_float = pa.types.is_floating(array.type)
        empty = 0 if column.name in _COUNTS or column.name in _ZERO else np.nan if is_float else NONE
        _values(rows, column.name)[:] = (array.fill_null(empty) if array.null_count else array).to_numpy(
            zero_copy_only=False
        )
    _begin_means(rows)
    rows["trend"] = _values_of(Trend, batch.column("trend"))
    rows["health"] = _values_of(Health, batch.column("health"))
    rows["eta_reason"] = _values_of(EtaReason, batch.column("eta_reason").fill_null(EtaReason.NONE.name))
    for name, room in (("minute_bytes", MINUTES), ("event_ids", EVENT_IDS)):
        _put_newest(batch.column(name), rows[name], room)
    return rows


def strings_of(batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """process_trace and agent_time of these SeriesState records, as `SeriesTable.put` takes them."""
    return batch.column("process_trace"), batch.column("agent_time")


def _values(rows: Rows, column: str) -> npt.NDArray[np.generic]:
    """[rows] The values of a column, in place."""
    field, at = _ITEMS.get(column, (column, ()))
    found: npt.NDArray[np.generic] = rows[field]
    for place in at:
        found = found[:, place]
    return found


def _begin_means(rows: Rows) -> None:
    """Begin the means of the ETA with the rates, in rows of an older schema that have rates and no means."""
    old = (rows["counted_s"] == 0.0) & (rows["samples"] > 0) & ~np.isnan(rows["rate_slow_bps"])
    rows["counted_s"][old] = (rows["last_seen"][old] - rows["rated_from"][old]) / US_PER_S
    for mean, rate in enumerate(("rate_fast_bps", "rate_slow_bps", "rate_slow_bps")):
        rows["eta_rates"][old, mean] = rows[rate][old]


def held_minutes(rows: Rows, bucket_us: int) -> Ints:
    """How many closed minutes each row has: those since its first report, 30 at most."""
    first = rows["first_seen"] // bucket_us * bucket_us
    held: Ints = np.clip((rows["open_minute"] - first) // bucket_us, 0, MINUTES)
    return held


def _identity_columns(table: SeriesTable, slots: Ints) -> dict[str, pa.Array]:
    """The parts of the series' keys, of which the second may hold slashes, as `identity` gives them."""
    keys = PackedValues.of_texts(pa.array(table.keys[slots], pa.string()))
    slashes = np.flatnonzero(keys.data == ord("/"))
    first = slashes[np.searchsorted(slashes, keys.starts)]
    last = slashes[np.searchsorted(slashes, keys.ends) - 1]
    bounds = {
        "project_id": (keys.starts, first),
        "task_id": (first + 1, last),
        "subtask_name": (last + 1, keys.ends),
    }
    return {name: PackedValues(keys.data, *each).to_arrow().view(pa.string()) for name, each in bounds.items()}


def _batch(columns: tuple[Column, ...], rows: Rows, computed: dict[str, pa.Array]) -> pa.RecordBatch:
    arrays = [
        computed[each.name] if each.name in computed else _column(_values(rows, each.name), each) for each in columns
    ]
    fields = [pa.field(each.name, each.arrow, each.nullable) for each in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _column(values: npt.NDArray[np.generic], column: Column) -> pa.Array:
    values = np.ascontiguousarray(values)
    if values.dtype == np.float64:
        return pa.array(values, from_pandas=column.nullable)
    mask = values == NONE if column.nullable else None
    if pa.types.is_timestamp(column.arrow):
        return pa.array(values, pa.int64(), mask=mask).cast(column.arrow)
    if pa.types.is_boolean(column.arrow):
        return pa.array(values == 1, pa.bool_(), mask=mask)
    return pa.array(values, column.arrow, mask=mask)


def _newest_items(items: Ints, lengths: Ints) -> pa.Array:
    """The last lengths[row] items of each row. items: [rows, room]."""
    offsets = np.zeros(items.shape[0] + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    room = items.shape[1]
    held = np.arange(room)[None, :] >= room - lengths[:, None]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(items[held]))


def _put_newest(lists: pa.Array, rows: Ints, room: int) -> None:
    """Write each list right-aligned into its row of `rows`, [lists, room]; no list has more than `room` items."""
    items, lengths = np.asarray(lists.flatten()), np.diff(np.asarray(lists.offsets))
    ends = np.cumsum(lengths)
    row_numbers = np.repeat(np.arange(len(lists)), lengths)
    columns = np.arange(items.shape[0]) - np.repeat(ends - room, lengths)
    rows[row_numbers, columns] = items


def _names_of(kind: type[Trend | Health | Signal], values: npt.NDArray[np.int8]) -> pa.Array:
    names = pa.array([each.name for each in sorted(kind)])
    return names.take(pa.array(values.astype(np.int64)))


def _reasons_of(values: npt.NDArray[np.int8]) -> pa.Array:
    """The names of these reasons; null for NONE."""
    names = pa.array([None if each == EtaReason.NONE else each.name for each in sorted(EtaReason)])
    return names.take(pa.array(values.astype(np.int64)))


def _values_of(kind: type[Trend | Health | EtaReason], names: pa.Array) -> Ints:
    """The values of these names; 0 for a name that only a newer worker knows."""
    encoded = names.dictionary_encode()
    numbers = np.array([int(kind.__members__.get(name, 0)) for name in encoded.dictionary.to_pylist()], np.int64)
    return numbers[np.asarray(encoded.indices)] if len(names) else np.zeros(0, np.int64)
