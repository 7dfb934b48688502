"""Reports of a few series that duplicate, go back, start again and pause, so that equal rows show equal rules."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.worker_events import PROJECT, SENT_AT_MS, START_US, bulk_producer, send
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnWriter
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

SERIES = 48
REPORTS = 80
"""Of each series."""
STEPS_S = (10.0, 10.0, 10.0, 31.7, 90.0, 0.0, -4.0, 2_700.0)
"""The seconds between two reports; 2,700 is more than the 30 minutes that a row keeps."""
FLUSH_TIMEOUT_S = 60.0


def prepare_irregular(bootstrap: str, topics: Topics) -> int:
    """Write these reports to the progress topic; returns their number."""
    rng = np.random.default_rng(18)
    writer, producer = ColumnWriter(TableIds(), newest("ProgressReported")), bulk_producer(bootstrap)
    for number in range(SERIES):
        reports = list(irregular_reports(rng, f"irregular-{number}"))
        arrays = [pa.array([each.get(field.name) for each in reports], field.type) for field in writer.schema]
        values = writer.write(pa.RecordBatch.from_arrays(arrays, schema=writer.schema))
        keys = [f"{PROJECT}/irregular-{number}"] * len(reports)
        send(producer, topics.progress.name, number % topics.partitions, keys, values, SENT_AT_MS)
    assert producer.flush(FLUSH_TIMEOUT_S) == 0
    return SERIES * REPORTS


def irregular_reports(rng: np.random.Generator, task: str) -> Iterator[dict[str, Any]]:
    """REPORTS reports of one series: duplicates, late reports, resets, regressions, clocks that go back, long gaps."""
    at_us, done, progress = START_US, 1 << 30, 0
    report: dict[str, Any] = {}
    for _ in range(REPORTS):
        kind = rng.random()
        if report and kind < 0.1:
            yield report
            continue
        at_us += round(float(rng.choice(STEPS_S)) * 1e6)
        size = done
        if kind < 0.2:  # a late report
            size = done // 2
        elif kind < 0.25:  # a reset: the next report is below the old size too
            size = done = done // 8
        else:
            done = size = done + int(rng.integers(0, 1 << 28))
        progress = max(0, progress - 3) if kind > 0.95 else min(99, progress + int(rng.integers(0, 3)))
        report = {
            "event_id": str(uuid.UUID(bytes=rng.bytes(16))),
            "project_id": PROJECT,
            "task_id": task,
            "received_at": at_us,
            "subtask_name": "MIGRATE_LINUX_FILE",
            "progress": progress,
            "replicatesize": size,
            "totalsize": 1 << 40,
            "process_trace": f"copying, {progress} percent",
            "remain_time": 60 if kind > 0.5 else None,
        }
        yield report
