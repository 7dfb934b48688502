"""Sends one report and follows it from the edge to the view, with the time of each step.

The report belongs to a task of its own, which it completes, so no other task is affected.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import urllib3
from confluent_kafka import Message

from taskstream.compose.doctor.finding import Finding, bad, good, unknown
from taskstream.compose.doctor.http_check import json_object
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.ranges import Latest
from taskstream.consumer.tail.topic_tail import TopicTail
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.errors import Undecodable
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topic, Topics, series_key

TASK: Final = "taskstream-doctor"
REPORT: Final[Mapping[str, Any]] = {
    "subtask_name": "CONFIGURE_LINUX",
    "progress": 100,
    "replicatesize": 1,
    "totalsize": 1,
    "process_trace": "taskstream doctor: a test report",
}
_POLL_S = 0.1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TraceTargets:
    """The places that a report passes. The trace skips Kafka or the view if it is None."""

    edge_url: str
    edge_token: str
    kafka: KafkaClient | None
    topics: Topics
    ids: SchemaIds
    view_url: str | None
    view_token: str
    wait_s: float
    pool: urllib3.PoolManager


def trace_report(targets: TraceTargets) -> Iterator[Finding]:
    """Send a report and wait for it on the progress topic, on the state topic and in the view."""
    state_before = None if targets.kafka is None else _ends(targets.kafka, targets.topics.state)
    reports_before = None if targets.view_url is None else _reports_in_view(targets, None)
    began_s = time.monotonic()
    answer = targets.pool.request(
        "PUT",
        f"{targets.edge_url}/v3/tasks/{TASK}/progress",
        body=json.dumps(REPORT).encode(),
        headers={"X-Auth-Token": targets.edge_token, "Content-Type": "application/json"},
        timeout=targets.wait_s,
        retries=False,
        redirect=False,
    )
    if answer.status != 200:
        yield bad("report", f"the edge answers {answer.status}: {_error(answer)}", _refusal_remedy(answer.status))
        return
    yield good("report", f"acknowledged {_after(began_s)}")
    partition, offset = (_number(answer.headers.get(name)) for name in ("X-Partition", "X-Offset"))
    event: dict[str, Any] | None = None
    if targets.kafka is None:
        yield unknown("on the topic", "Kafka was not read", "give --bootstrap-servers")
        yield unknown("in the state", "Kafka was not read", "give --bootstrap-servers")
    else:
        event = _find_event(targets, targets.kafka, partition, offset)
        position = f"{targets.topics.progress.name}-{partition} at offset {offset}"
        if event is None:
            remedy = "do the edge and the doctor use the same Kafka and --prefix? See --bootstrap-servers"
            yield bad("on the topic", f"{position} does not hold the report", remedy)
            return
        yield good("on the topic", f"{position}, read {_after(began_s)}")
        before = (state_before or {}).get(partition)
        yield _find_state(targets, targets.kafka, event, partition, before, began_s)
    if targets.view_url is None:
        yield unknown("in the view", "no view is named", "give --endpoint")
    else:
        yield _find_in_view(targets, event, reports_before, began_s)


def _find_event(targets: TraceTargets, kafka: KafkaClient, partition: int, offset: int) -> dict[str, Any] | None:
    """The event at this offset, if it is the report's."""
    topic = targets.topics.progress

    def match(message: Message) -> dict[str, Any] | None:
        record = _decode(targets.ids, topic, message)
        return record if record is not None and message.offset() == offset and record["task_id"] == TASK else None

    if partition < 0 or offset < 0:
        return None
    return _first_match(kafka, topic, partition, OffsetRange(offset, offset + 1), match, targets.wait_s)


def _find_state(
    targets: TraceTargets,
    kafka: KafkaClient,
    event: Mapping[str, Any],
    partition: int,
    before: OffsetRange | None,
    began_s: float,
) -> Finding:
    if before is None:
        return bad("in the state", f"{targets.topics.state.name} has no partition {partition}", "see the topics")
    key = series_key(event["project_id"], TASK, event["subtask_name"])

    def match(message: Message) -> bool | None:
        record = _decode(targets.ids, targets.topics.state, message) if message.key() == key.encode() else None
        return True if record is not None and record["last_seen"] >= event["received_at"] else None

    if _first_match(kafka, targets.topics.state, partition, before, match, targets.wait_s):
        return good("in the state", f"{targets.topics.state.name}-{partition}, read {_after(began_s)}")
    what = f"no state of the report on {targets.topics.state.name}-{partition} within {targets.wait_s:g} s"
    return bad("in the state", what, "is a worker running? `taskstream lag` shows how far it is behind")


def _find_in_view(
    targets: TraceTargets, event: Mapping[str, Any] | None, before: int | None, began_s: float
) -> Finding:
    deadline = time.monotonic() + targets.wait_s
    while time.monotonic() < deadline:
        reports = _reports_in_view(targets, None if event is None else event["received_at"])
        if reports is not None and (event is not None or reports > (before or 0)):
            return good("in the view", f"{targets.view_url} shows it {_after(began_s)}")
        time.sleep(_POLL_S)
    answer = _get_task(targets)
    if answer.status in {401, 403}:
        remedy = "give a token with the role read or operate: --view-token-file"
        return unknown("in the view", f"the view answers {answer.status}: {_error(answer)}", remedy)
    what = f"{targets.view_url} answers {answer.status} and does not show it within {targets.wait_s:g} s"
    return bad("in the view", what, "does the view read the same --prefix, and is the token of the same project?")


def _reports_in_view(targets: TraceTargets, received_at_us: int | None) -> int | None:
    """The view's count of reports of the series; None if it has none, or none received at `received_at_us` or later."""
    answer = _get_task(targets)
    if answer.status != 200:
        return None
    series = json_object(answer.data).get("subtasks")
    for each in series if isinstance(series, list) else ():
        match each:
            case {"subtask_name": "CONFIGURE_LINUX", "reports": int(reports), "last_seen_ms": int(seen_ms)}:
                return reports if received_at_us is None or seen_ms >= received_at_us // 1000 else None
    return None


def _get_task(targets: TraceTargets) -> urllib3.BaseHTTPResponse:
    url, headers = f"{targets.view_url}/tasks/{TASK}", {"X-Auth-Token": targets.view_token}
    return targets.pool.request("GET", url, headers=headers, timeout=targets.wait_s, retries=False, redirect=False)


def _ends(kafka: KafkaClient, topic: Topic) -> dict[int, OffsetRange]:
    return Cluster(kafka.config()).pinned(topic.name, Latest(), Latest())


def _first_match(
    kafka: KafkaClient,
    topic: Topic,
    partition: int,
    offsets: OffsetRange,
    match: Callable[[Message], T | None],
    within_s: float,
) -> T | None:
    """The first result of `match` that is not None, for the messages from the start of `offsets` on."""
    deadline = time.monotonic() + within_s
    batches = TopicTail(kafka.config(), topic.name, {partition: offsets}, to_the_end=False).batches()
    try:
        for messages in batches:
            for message in messages:
                if (found := match(message)) is not None:
                    return found
            if time.monotonic() > deadline:
                return None
    finally:
        batches.close()
    return None


def _decode(ids: SchemaIds, topic: Topic, message: Message) -> dict[str, Any] | None:
    assert topic.value is not None, "the topic has records"
    value: Any = message.value()
    try:
        return RecordReader(ids, topic.value).read(value)
    except Undecodable:
        return None


def _error(answer: urllib3.BaseHTTPResponse) -> str:
    return str(json_object(answer.data).get("error_msg", f"{len(answer.data):,} bytes that are not an API error"))[:200]


def _number(header: str | None) -> int:
    """The header as a non-negative integer; -1 if it is absent or anything else."""
    return int(header) if header is not None and header.isdecimal() and header.isascii() else -1


def _refusal_remedy(status: int) -> str:
    if status in {401, 403}:
        return "give a token with the role report: --token-file; `taskstream tokens add` creates one"
    return "see the edge's /readyz and its log" if status >= 500 else "is this the address of the edge?"


def _after(began_s: float) -> str:
    return f"after {(time.monotonic() - began_s) * 1000:.0f} ms"
