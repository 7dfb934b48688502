"""A running view for tests: its own process on a free port; and states put straight onto the state topic."""

from __future__ import annotations

import contextlib
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGTERM
from typing import Any

import numpy as np
import pyarrow as pa
import urllib3
from confluent_kafka import Producer

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.consumer.state.series import ROW
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.state_records import state_batch
from taskstream.producer.callers.token_file import token_line
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnWriter
from taskstream.schemas.http.caller import Role
from taskstream.schemas.ids import SchemaIds, TableIds
from taskstream.schemas.librdkafka.unproven_delivery import ONE_IN_FLIGHT
from taskstream.schemas.topics import Topics
from tests.private_files import write_private
from tests.programs import Program, listening_address
from tests.waiting import LIMIT_S, NotYet, wait_until

MB = 1_000_000
S = 1_000_000
"""A second, in microseconds."""


STARTED_US = time.time_ns() // 1000
"""When these tests began."""


def now_us() -> int:
    """The time for the rows of these tests and for the views that show them, microseconds since 1970. It stands still.

    A view with a clock of its own would call every series silent on a machine that is busy for a minute.
    """
    return STARTED_US


def new_state_topic(kafka: KafkaClient, prefix: str | None = None, partitions: int = 3) -> StateTopic:
    """The topics of a prefix, made; of one that nobody else has, unless it is given."""
    topics = Topics(prefix or f"test-{uuid.uuid4().hex[:12]}", partitions=partitions)
    create_topics(kafka.config(), topics)
    return StateTopic(kafka, topics)


def series(now_us: int, **columns: Any) -> np.ndarray:
    """One row: a copy that is half done after ten minutes at 10 MB/s, heard a second ago; `columns` say what differs."""
    row = np.zeros(1, ROW)
    defaults: dict[str, Any] = {
        "live": True,
        "trend": 1,
        "progress": 50,
        "need_migration_test": -1,
        "complete_minutes": 9,
        "first_seen": now_us - 600 * S,
        "last_seen": now_us - S,
        "last_advance": now_us - S,
        "reports": 300,
        "replicatesize": 6_000 * MB,
        "totalsize": 12_000 * MB,
        "remain_time": -1,
        "rated_from": now_us - 600 * S,
        "rated_bytes": 6_000 * MB,
        "samples": 299,
        "open_minute": now_us // (60 * S) * 60 * S,
        "open_minute_bytes": 100 * MB,
        "health_since": now_us - 600 * S,
        "silent_since": -1,
        "eta_told": -1,
        "eta_told_at": -1,
        "rate_fast_bps": 10.0 * MB,
        "rate_slow_bps": 10.0 * MB,
        "rate_peak_bps": 12.0 * MB,
        "report_gaps": 299,
        "typical_gap_s": 2.0,
        "report_gap_square_s2": 4.0,
        "quiet_limit_s": 60.0,
        "advance_gaps": 299,
        "advance_gap_s": 2.0,
        "advance_gap_square_s2": 4.0,
        "stall_limit_s": 60.0,
        "growth_bps": 0.0,
        "trend_change_pct": 1.5,
        "trend_slope_pct": 0.1,
        "log_rate_sd": 0.1,
        "slow_baseline": np.nan,
        "eta_s": 600.0,
        "eta_low_s": 500.0,
        "eta_high_s": 720.0,
        **dict.fromkeys(("migrate_speed", "compress_rate", "total_cpu_usage", "agent_cpu_usage"), np.nan),
        **dict.fromkeys(("total_mem_usage", "agent_mem_usage", "total_disk_io", "agent_disk_io"), np.nan),
        "minute_bytes": [0] * 20 + [600 * MB] * 10,
    }
    for name, value in (defaults | columns).items():
        row[name] = value
    return row


def signal(raised_at: int, word: str = "SILENT", *, task: str = "project-1/t-1", **fields: Any) -> dict[str, Any]:
    """One signal of a copy that was silent for two minutes; `fields` say what differs."""
    project_id, task_id = task.split("/", 1)
    defaults = {
        "project_id": project_id,
        "task_id": task_id,
        "subtask_name": "MIGRATE_LINUX_FILE",
        "signal": word,
        "raised_at": raised_at,
        "before": "OK",
        "after": "SILENT",
        "since": raised_at - 120 * S,
        "before_since": raised_at - 900 * S,
        "last_seen": raised_at - 120 * S,
        "last_advance": raised_at - 120 * S,
        "limit_s": 60.0,
        "progress": 50,
        "replicatesize": 6_000 * MB,
        "totalsize": 12_000 * MB,
        "rate_fast_bps": 10.0 * MB,
        "rate_slow_bps": 10.0 * MB,
        "trend_change_pct": None,
        "eta": None,
        "eta_before": None,
    }
    return defaults | fields


class StateTopic:
    """Puts states, and signals, onto their topics as a worker would, in transactions."""

    def __init__(self, kafka: KafkaClient, topics: Topics, ids: SchemaIds | None = None) -> None:
        self.topics = topics
        ids = ids or TableIds()
        told = {"transactional.id": f"{topics.prefix}-states", "linger.ms": 5, "log_level": 0, **ONE_IN_FLIGHT}
        self._producer = Producer(kafka.config(**told))
        self._producer.init_transactions(LIMIT_S)
        self._writer = ColumnWriter(ids, newest("SeriesState"))
        self._signals = ColumnWriter(ids, newest("SignalRaised"))

    def put(self, states: Mapping[str, np.ndarray], traces: Mapping[str, str] = {}) -> None:
        """Commit these rows, by series key."""
        keys = list(states)
        table = SeriesTable()
        said = pa.array([traces.get(key, "copying /srv") for key in keys])
        table.put(keys, np.concatenate(list(states.values())), said, pa.nulls(len(keys), pa.string()))
        values = self._writer.write(state_batch(table, table.find(keys)))
        self._commit(list(zip(keys, values, strict=True)))

    def put_in(self, partition: int, key: str, state: np.ndarray) -> None:
        """Commit this row to this partition."""
        table = SeriesTable()
        table.put([key], state, pa.array([""]), pa.nulls(1, pa.string()))
        (value,) = self._writer.write(state_batch(table, table.find([key])))
        self._producer.begin_transaction()
        self._producer.produce(self.topics.state.name, value, key, partition)
        self._producer.commit_transaction(LIMIT_S)

    def tell(self, *signals: dict[str, Any], timestamp_ms: int = 0) -> None:
        """Commit these signals; `timestamp_ms` is the records' time, if it is not now."""
        values = self._signals.write(pa.RecordBatch.from_pylist(list(signals), schema=self._signals.schema))
        self._producer.begin_transaction()
        for each, value in zip(signals, values, strict=True):
            key = f"{each['project_id']}/{each['task_id']}"
            partition = hash_of(key) % self.topics.partitions
            self._producer.produce(self.topics.signals.name, value, key, partition, timestamp=timestamp_ms)
        self._producer.commit_transaction(LIMIT_S)

    def forget(self, keys: Sequence[str]) -> None:
        """Commit tombstones."""
        self._commit([(key, None) for key in keys])

    def put_bytes(self, key: str, value: bytes) -> None:
        self._commit([(key, value)])

    def abort(self, key: str, value: bytes) -> None:
        self._producer.begin_transaction()
        self._produce(key, value)
        self._producer.flush(LIMIT_S)
        self._producer.abort_transaction(LIMIT_S)

    def _commit(self, records: Sequence[tuple[str, bytes | None]]) -> None:
        self._producer.begin_transaction()
        for key, value in records:
            self._produce(key, value)
        self._producer.commit_transaction(LIMIT_S)

    def _produce(self, key: str, value: bytes | None) -> None:
        partition = hash_of(key.rpartition("/")[0]) % self.topics.partitions
        if len(self._producer) > 50_000:
            self._producer.flush(LIMIT_S)
        self._producer.produce(self.topics.state.name, value, key, partition)


def asked_again(ask: Callable[[], Any]) -> Any:
    """The first answer that is not a 503: that one asks to be asked again, as Kafka did not take a note in time."""

    def answer() -> Any:
        given = ask()
        return given if given.status != 503 else None

    return wait_until(answer)


def hash_of(text: str) -> int:
    """Any number that is the same every time."""
    return int.from_bytes(text.encode()[-8:], "big")


@dataclass(slots=True)
class RunningView:
    """A view process and how to speak to it."""

    url: str
    tokens: Mapping[str, str]
    """Tokens by whose they are: `reader`, `other` (another project's), `operator`, `agent`."""
    process: Program
    http: urllib3.PoolManager
    log: Path

    def get(
        self, path: str, *, by: str | None = "operator", method: str = "GET", preload: bool = True, **headers: str
    ) -> Any:
        sent = {"X-Auth-Token": self.tokens[by]} if by else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, self.url + path, headers=sent, retries=False, preload_content=preload)

    def shown(self, path: str, *, by: str = "operator") -> Any:
        """The JSON answer.

        Raises:
            NotYet: the view does not know it, or has not read the topics to their ends yet.
        """
        answer = self.get(path, by=by)
        if answer.status in (404, 503):
            raise NotYet(answer.data)
        assert answer.status == 200, answer.data
        return answer.json()

    def stop(self, timeout_s: float = 300) -> int:
        self.process.send_signal(SIGTERM)
        return self.process.wait(timeout_s)


ROLES = {
    "reader": ("project-1", [Role.READ]),
    "other": ("project-2", [Role.READ]),
    "operator": ("operations", [Role.OPERATE]),
    "agent": ("project-1", [Role.REPORT]),
}


@contextlib.contextmanager
def running_view(
    kafka: KafkaClient,
    prefix: str,
    folder: Path,
    *options: str,
    port: int = 0,
    wait: bool = True,
    stopped_clock: bool = True,
    tls: Mapping[str, str] | None = None,
) -> Iterator[RunningView]:
    tokens = {name: f"token-of-{name}" for name in ROLES}
    file = folder / f"tokens-{secrets.token_hex(4)}.jsonl"
    write_private(file, "".join(token_line(tokens[name], *ROLES[name]) + "\n" for name in ROLES))
    log = file.with_suffix(".log")
    arguments = ["view", "--bootstrap-servers", kafka.bootstrap_servers, "--prefix", prefix, "--port", str(port)]
    process = Program(
        [*arguments, "--tokens", file, *options], log, clock=partial(int, now_us()) if stopped_clock else None
    )
    try:
        url = listening_address(process, log)
        with urllib3.PoolManager(maxsize=8, timeout=120, **(tls or {})) as http:
            view = RunningView(url, tokens, process, http, log)
            if wait:
                wait_until(lambda: view.get("/readyz", by=None).status == 200)
            yield view
    finally:
        process.kill()
        process.wait()
