"""What an edge answers to good and bad reports, and what it stores: the same requests to all, compared with ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from confluent_kafka import Consumer, TopicPartition

from benchmarks.edge_load import BODY, TOKEN
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.ids import TableIds

PATH = "/v3/tasks/%C3%A9%20%2F1/progress"
GOOD = json.loads(BODY)
HEADERS = {"X-Auth-Token": TOKEN, "Content-Type": "application/json"}
TIMEOUT_S = 30.0
OWN_FIELDS = ("event_id", "received_at")
OWN_HEADERS = ("ce_id", "ce_time")
"""Fields of an event and headers of its record that differ from report to report."""


@dataclass(frozen=True, slots=True)
class Case:
    """A request, which differs from a good one in what is given here."""

    name: str
    body: bytes = BODY
    method: str = "PUT"
    path: str = PATH
    headers: tuple[tuple[str, str], ...] = tuple(HEADERS.items())


def altered(name: str, **fields: Any) -> Case:
    return Case(name, json.dumps(GOOD | fields).encode())


def without(field: str) -> Case:
    return Case(f"no {field}", json.dumps({key: value for key, value in GOOD.items() if key != field}).encode())


OPTIONAL: dict[str, Any] = {
    "total_cpu_usage": 1.5, "agent_cpu_usage": 2, "total_mem_usage": 3.5, "agent_mem_usage": None,
    "total_disk_io": 4.25, "agent_disk_io": 0, "need_migration_test": True, "agent_time": "2026-01-02 03:04:05",
    "unknown": {"a": [1]},
}  # fmt: skip
STORED = (
    Case("a report"),
    altered("all fields", **OPTIONAL),
    altered("characters", process_trace="é\u2028\U0001f600" * 600),
)
REFUSED = (
    altered("an unknown subtask", subtask_name="MOVE"), altered("a negative progress", progress=-1),
    altered("progress over 100", progress=101), altered("progress as a text", progress="x"),
    altered("progress with decimals", progress=1.5), altered("negative bytes", replicatesize=-1),
    altered("bytes over 63 bits", totalsize=2**63), altered("a long trace", process_trace="a" * 2049),
    altered("a fast speed", migrate_speed=10_001), altered("a negative rate", compress_rate=-0.5),
    altered("a long time", remain_time=2**31), altered("a long agent time", agent_time="a" * 256),
    altered("a number as a boolean", need_migration_test=3), *map(without, list(GOOD)[:5]),
    Case("no JSON", b"{"), Case("a list", b"[]"), Case("no UTF-8", b'{"process_trace": "\xff"}'),
    Case("a large body", b" " * 70_000 + BODY), Case("another method", method="POST"),
    Case("another path", path="/v3/tasks/t/progres"), Case("a long task id", path=f"/v3/tasks/{'t' * 256}/progress"),
    Case("no token", headers=(("Content-Type", "application/json"),)),
    Case("an unknown token", headers=(("X-Auth-Token", "other"), ("Content-Type", "application/json"))),
    Case("another media type", headers=(("X-Auth-Token", TOKEN), ("Content-Type", "text/plain"))),
)  # fmt: skip


def edge_answers(port: int, bootstrap: str, topic: str) -> dict[str, Any]:
    """[name of a case] The status; for a report that is stored, its record too, without what differs each time."""
    found: dict[str, Any] = {}
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench.stored"})
    try:
        for case in (*STORED, *REFUSED):
            response = urllib3.request(
                case.method,
                f"http://127.0.0.1:{port}{case.path}",
                body=case.body,
                headers=dict(case.headers),
                retries=False,
                timeout=TIMEOUT_S,
            )
            found[case.name] = response.status
            if case in STORED and response.status == 200:
                place = TopicPartition(topic, int(response.headers["x-partition"]), int(response.headers["x-offset"]))
                found[case.name] = stored_record(consumer, place, response.headers["x-event-id"])
    finally:
        consumer.close()
    return found


def stored_record(consumer: Consumer, place: TopicPartition, event_id: str) -> dict[str, Any]:
    """The key, partition, headers and event of a record.

    Raises:
        AssertionError: there is none, or it has another event id.
    """
    consumer.assign([place])
    message = consumer.poll(TIMEOUT_S)
    assert message is not None, f"there is no record at {place}"
    assert message.error() is None, f"{place}: {message.error()}"
    headers = dict(message.headers())
    event = dict(RecordReader(TableIds(), "ProgressReported").read(message.value()))
    assert event["event_id"] == headers["ce_id"].decode() == event_id, f"the event at {place} has another id"
    return {
        "partition": place.partition,
        "key": message.key(),
        "headers": sorted((name, value) for name, value in headers.items() if name not in OWN_HEADERS),
        "own headers": sorted(set(headers) & set(OWN_HEADERS)),
        "event": {name: value for name, value in event.items() if name not in OWN_FIELDS},
    }


def answer_differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """The cases, with both answers, in which two edges differ."""
    return [f"{name}: {ours[name]} and {theirs[name]}" for name in ours if ours[name] != theirs[name]]
