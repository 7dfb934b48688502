"""What a worker has written: its rows and windows, read committed, and whether those of two workers are equal."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.ids import TableIds

TIMEOUT_S = 120.0
TOLERANCE = 1e-9
"""How much the sums of the rates may differ, relatively: libraries round exponentials in different ways."""
ROW_FIELDS = (
    "reports", "skewed", "stale", "resets", "regressions", "held", "progress", "replicatesize", "totalsize",
    "process_trace", "first_seen", "last_seen", "last_advance", "rated_from", "rated_bytes", "samples", "open_minute",
    "open_minute_bytes", "minute_bytes", "complete_minutes", "event_ids",
)  # fmt: skip
WINDOW_FIELDS = ("minutes", "bytes", "complete", "progress", "replicatesize", "totalsize", "closed_at")
EndOffset = Callable[[Consumer, TopicPartition], int]


@dataclass(frozen=True, slots=True)
class Answers:
    """The rows and windows of one worker.

    row_digest and window_digest are of ROW_FIELDS of the last row of each series, and of WINDOW_FIELDS of all windows.
    """

    rows: int
    reports: int
    row_digest: str
    windows: int
    window_digest: str
    rate_fast_bps: float
    """The sum over all rows that have one, as the next."""
    rate_slow_bps: float

    def differences(self, other: Answers) -> list[str]:
        """The names and both values of what differs."""
        exact = ("rows", "reports", "row_digest", "windows", "window_digest")
        found = [name for name in exact if getattr(self, name) != getattr(other, name)]
        found += [
            name
            for name in ("rate_fast_bps", "rate_slow_bps")
            if not math.isclose(getattr(self, name), getattr(other, name), rel_tol=TOLERANCE)
        ]
        return [f"{name}: {getattr(self, name)} and {getattr(other, name)}" for name in found]


def answers_of(rows: Iterable[Mapping[str, Any]], windows: Iterable[Mapping[str, Any]]) -> Answers:
    """The answers of rows, one per series, and of windows; their order does not matter."""
    row_lines, window_lines, reports = [], [], 0
    fast, slow = [], []
    for row in rows:
        row_lines.append(f"{identity(row)} {[row[name] for name in ROW_FIELDS]}")
        reports += row["reports"]
        fast.append(row["rate_fast_bps"] or 0.0)
        slow.append(row["rate_slow_bps"] or 0.0)
    for window in windows:
        start = window["window_start"]
        window_lines.append(f"{identity(window)} {start} {[window[name] for name in WINDOW_FIELDS]}")
    return Answers(
        rows=len(row_lines),
        reports=reports,
        row_digest=digest(row_lines),
        windows=len(window_lines),
        window_digest=digest(window_lines),
        rate_fast_bps=math.fsum(fast),
        rate_slow_bps=math.fsum(slow),
    )


def identity(record: Mapping[str, Any]) -> str:
    return f"{record['project_id']}/{record['task_id']}/{record['subtask_name']}"


def digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:12]


def read_answers(bootstrap: str, state: str, rates: str, partitions: int, end_offset: EndOffset) -> Answers:
    """Read both topics from their beginning to their present end."""
    newest = dict(records(bootstrap, state, partitions, end_offset))
    rows, windows = RecordReader(TableIds(), "SeriesState"), RecordReader(TableIds(), "RateWindow")
    written = [value for _, value in records(bootstrap, rates, partitions, end_offset)]
    return answers_of(map(rows.read, newest.values()), map(windows.read, written))


def records(bootstrap: str, topic: str, partitions: int, end_offset: EndOffset) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the committed records of a topic, up to its present end.

    The offsets of a transaction can be visible before its records are: this waits until no transaction is open.
    """
    config = {"bootstrap.servers": bootstrap, "group.id": "bench.answers", "enable.auto.commit": False}
    places = [TopicPartition(topic, number, 0) for number in range(partitions)]
    all_records = Consumer({**config, "isolation.level": "read_uncommitted"})
    try:
        ends = {each.partition: end_offset(all_records, each) for each in places}
    finally:
        all_records.close()
    consumer = Consumer({**config, "isolation.level": "read_committed", "enable.partition.eof": True})
    try:
        left = {partition for partition, end in ends.items() if end}
        consumer.assign([each for each in places if each.partition in left])
        deadline = time.monotonic() + TIMEOUT_S
        while left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the ends of partitions {sorted(left)} of {topic} are not reached")
            for message in consumer.consume(10_000, 1.0):
                error = message.error()
                if error is None:
                    yield message.key(), message.value()
                    continue
                is_end = error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 # its public name
                if is_end and message.offset() >= ends[message.partition()]:
                    left.discard(message.partition())
    finally:
        consumer.close()
