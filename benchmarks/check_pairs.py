"""The pairs of `check` that need no Kafka: the fold, the codec, and rows of the state in a worker and in a view."""

from __future__ import annotations

import ctypes
import random
import time
from collections.abc import Callable

import fastavro
import numpy as np

from benchmarks.codec import IDS, read_one_by_one, reported, write_one_by_one
from benchmarks.fold import PlainDict, Reports, filled, filled_peer, fold
from benchmarks.ratios import Ratio
from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.kafka.state_decoder import StateDecoder
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.consumer.state.state_records import state_batch
from taskstream.consumer.view.follow.upkeep import MOST_AT_ONCE
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.schemas.catalog import named, newest
from taskstream.schemas.codec.column_codec import ColumnReader, ColumnWriter
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.codec.record_codec import RecordWriter, plain

GROUPS, ROUNDS = 5, 20
"""Groups of rounds, and rounds of a group."""
SERIES = 20_000
RECORDS = 4_000
BY_REFERENCE = 400
"""Records of a round that the reference takes: it is slower."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""
Work = Callable[[], object]


def in_process_ratios() -> dict[str, Ratio]:
    """[pair]"""
    keep_freed_memory()
    return {"fold / dict": _fold(), **_codec(), **_rows()}


def keep_freed_memory() -> None:
    """Let glibc keep what is freed. Else it returns it or not, depending on what ran before, and ratios double."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)
        mallopt(_TRIM_THRESHOLD, 1 << 30)


def alternating(
    ours: Work, reference: Work, parts: float = 1.0, *, groups: int = GROUPS, rounds: int = ROUNDS
) -> Ratio:
    """Run both in turn. `parts`: how many times as much our way does in one call."""
    ours()
    reference()
    return Ratio.of([[(_cpu_s(ours) / parts, _cpu_s(reference)) for _ in range(rounds)] for _ in range(groups)])


def _cpu_s(work: Work) -> float:
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


def _fold() -> Ratio:
    reports = Reports(SERIES)
    table, peer = filled(reports), filled_peer(PlainDict(), reports)

    def one_round() -> tuple[float, float]:
        load = reports.any()
        return _cpu_s(lambda: fold(table, load.batch)), _cpu_s(lambda: peer.fold(load))

    return Ratio.of([[one_round() for _ in range(ROUNDS)] for _ in range(GROUPS)])


def _codec() -> dict[str, Ratio]:
    schema, rng = named("ProgressReported.v2"), random.Random(1)
    records = [reported(rng, number) for number in range(RECORDS)]
    wires = [RecordWriter(IDS, schema).write(each) for each in records]
    parsed = fastavro.parse_schema(plain(schema.definition))
    reader, writer = ColumnReader(IDS, schema.name), ColumnWriter(IDS, schema)
    batch = reader.read(wires).batch
    few, parts = BY_REFERENCE, RECORDS / BY_REFERENCE
    return {
        "read events / fastavro": alternating(
            lambda: reader.read(wires), lambda: read_one_by_one(parsed, wires[:few]), parts
        ),
        "write events / fastavro": alternating(
            lambda: writer.write(batch), lambda: write_one_by_one(parsed, records[:few]), parts
        ),
    }


def _rows() -> dict[str, Ratio]:
    """Rows of the state, read back by a worker and followed by a view, beside fastavro and a dict."""
    table = filled(Reports(SERIES))
    schema = newest("SeriesState")
    slots = np.arange(RECORDS)
    keys = table.keys[slots].tolist()
    wires = ColumnWriter(IDS, schema).write(state_batch(table, slots))
    parsed = fastavro.parse_schema(plain(schema.definition))
    held: dict[str, object] = {}

    def by_dict() -> None:
        held.update(zip(keys[:BY_REFERENCE], read_one_by_one(parsed, wires[:BY_REFERENCE]), strict=True))

    batch = _source_batch(keys, wires)
    decoder, restored = StateDecoder(IDS), SeriesTable()
    model = ReadModel(Settings())
    names = TaskNames(model)
    now_us = int(table.rows["last_seen"].max()) + 1_000_000

    def follow() -> None:
        for part in decoder.decode(batch).parts(MOST_AT_ONCE):
            model.apply(part, now_us)
            names.refresh()

    parts = RECORDS / BY_REFERENCE
    return {
        "rows read back / fastavro": alternating(lambda: decoder.decode(batch).apply_to(restored), by_dict, parts),
        "rows followed by a view / fastavro": alternating(follow, by_dict, parts),
    }


def _source_batch(keys: list[str], wires: list[bytes]) -> SourceBatch:
    count = len(wires)
    packed = PackedValues.of([key.encode() for key in keys])

    def record(index: int) -> None:
        raise AssertionError(f"record {index} is not readable")

    zeros = np.zeros(count, np.int64)
    return SourceBatch(PackedValues.of(wires), zeros.astype(np.int32), np.arange(count), zeros, lambda: packed, record)
