"""One report followed from the edge to the view, with the time of each step. It is a task of its own, and complete."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import urllib3
from confluent_kafka import Message

from taskstream.compose.doctor.finding import Finding, bad, good, unknown
from taskstream.compose.doctor.http_check import object_of
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
    "process_trace": "taskstream doctor: does a report arrive?",
}
_PAUSE_S = 0.1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TraceTargets:
    """Where a report passes; what is None is not followed."""

    edge_url: str
    edge_token: str
    kafka: KafkaClient | None
    topics: Topics
    ids: SchemaIds
    view_url: str | None
    view_token: str
    wait_s: float
    pool: urllib3.PoolManager


def followed(stations: TraceTargets) -> Iterator[Finding]:
    """Send a report and find it again, station by station."""
    here = stations
    state_before = None if here.kafka is None else _ends(here.kafka, here.topics.state)
    heard_before = None if here.view_url is None else _heard(here, None)
    began_s = time.monotonic()
    answer = here.pool.request(
        "PUT",
        f"{here.edge_url}/v3/tasks/{TASK}/progress",
        body=json.dumps(REPORT).encode(),
        headers={"X-Auth-Token": here.edge_token, "Content-Type": "application/json"},
        timeout=here.wait_s,
        retries=False,
        redirect=False,
    )
    if answer.status != 200:
        yield bad("report", f"the edge answers {answer.status}: {_error(answer)}", _refusal_remedy(answer.status))
        return
    yield good("report", f"acknowledged {_after(began_s)}")
    partition, offset = (_number(answer.headers.get(name)) for name in ("X-Partition", "X-Offset"))
    event: dict[str, Any] | None = None
    if here.kafka is None:
        yield unknown("on the topic", "Kafka was not asked", "give --bootstrap-servers")
        yield unknown("in the state", "Kafka was not asked", "give --bootstrap-servers")
    else:
        event = _event(here, here.kafka, partition, offset)
        if event is None:
            what = f"{here.topics.progress.name}-{partition} at offset {offset} holds no report of ours"
            yield bad(
                "on the topic", what, "do the edge and --bootstrap-servers mean the same Kafka and the same --prefix?"
            )
            return
        yield good(
            "on the topic", f"{here.topics.progress.name}-{partition} at offset {offset}, read {_after(began_s)}"
        )
        before = (state_before or {}).get(partition)
        yield _in_the_state(here, here.kafka, event, partition, before, began_s)
    if here.view_url is None:
        yield unknown("in the view", "no view was asked", "give --view")
    else:
        yield _in_the_view(here, event, heard_before, began_s)


def _event(here: TraceTargets, kafka: KafkaClient, partition: int, offset: int) -> dict[str, Any] | None:
    """The event that lies there, if it is our report."""
    topic = here.topics.progress

    def ours(message: Message) -> dict[str, Any] | None:
        record = _read(here.ids, topic, message)
        return record if record is not None and message.offset() == offset and record["task_id"] == TASK else None

    if partition < 0 or offset < 0:
        return None
    return _first(kafka, topic, partition, OffsetRange(offset, offset + 1), ours, here.wait_s)


def _in_the_state(
    here: TraceTargets,
    kafka: KafkaClient,
    event: Mapping[str, Any],
    partition: int,
    before: OffsetRange | None,
    began_s: float,
) -> Finding:
    if before is None:
        return bad("in the state", f"{here.topics.state.name} has no partition {partition}", "see the topics")
    key = series_key(event["project_id"], TASK, event["subtask_name"])

    def folded(message: Message) -> bool | None:
        record = _read(here.ids, here.topics.state, message) if message.key() == key.encode() else None
        return True if record is not None and record["last_seen"] >= event["received_at"] else None

    if _first(kafka, here.topics.state, partition, before, folded, here.wait_s):
        return good("in the state", f"{here.topics.state.name}-{partition}, read {_after(began_s)}")
    what = f"no row of it on {here.topics.state.name}-{partition} within {here.wait_s:g} s"
    return bad("in the state", what, "is a worker running, and how far behind is it? `taskstream lag` tells")


def _in_the_view(here: TraceTargets, event: Mapping[str, Any] | None, before: int | None, began_s: float) -> Finding:
    deadline = time.monotonic() + here.wait_s
    while time.monotonic() < deadline:
        heard = _heard(here, None if event is None else event["received_at"])
        if heard is not None and (event is not None or heard > (before or 0)):
            return good("in the view", f"{here.view_url} shows it {_after(began_s)}")
        time.sleep(_PAUSE_S)
    answer = _task(here)
    if answer.status in {401, 403}:
        remedy = "give a token with the role read or operate: --view-token-file"
        return unknown("in the view", f"the view answers {answer.status}: {_error(answer)}", remedy)
    what = f"{here.view_url} answers {answer.status} and does not show it within {here.wait_s:g} s"
    return bad("in the view", what, "does the view read the same --prefix, and is the token of the same project?")


def _heard(here: TraceTargets, received_at_us: int | None) -> int | None:
    """How many reports the view has of our series; None if none since `received_at_us`."""
    answer = _task(here)
    if answer.status != 200:
        return None
    series = object_of(answer.data).get("subtasks")
    for each in series if isinstance(series, list) else ():
        match each:
            case {"subtask_name": "CONFIGURE_LINUX", "reports": int(reports), "last_seen_ms": int(seen_ms)}:
                return reports if received_at_us is None or seen_ms >= received_at_us // 1000 else None
    return None


def _task(here: TraceTargets) -> urllib3.BaseHTTPResponse:
    url, headers = f"{here.view_url}/tasks/{TASK}", {"X-Auth-Token": here.view_token}
    return here.pool.request("GET", url, headers=headers, timeout=here.wait_s, retries=False, redirect=False)


def _ends(kafka: KafkaClient, topic: Topic) -> dict[int, OffsetRange]:
    return Cluster(kafka.config()).pinned(topic.name, Latest(), Latest())


def _first(
    kafka: KafkaClient,
    topic: Topic,
    partition: int,
    span: OffsetRange,
    wanted: Callable[[Message], T | None],
    within_s: float,
) -> T | None:
    """What `wanted` makes of the first record, from the span's begin on, of which it makes anything."""
    deadline = time.monotonic() + within_s
    following = TopicTail(kafka.config(), topic.name, {partition: span}, to_the_end=False).batches()
    try:
        for messages in following:
            for message in messages:
                if (found := wanted(message)) is not None:
                    return found
            if time.monotonic() > deadline:
                return None
    finally:
        following.close()
    return None


def _read(ids: SchemaIds, topic: Topic, message: Message) -> dict[str, Any] | None:
    assert topic.value is not None, "the topic holds records"
    value: Any = message.value()
    try:
        return RecordReader(ids, topic.value).read(value)
    except Undecodable:
        return None


def _error(answer: urllib3.BaseHTTPResponse) -> str:
    return str(object_of(answer.data).get("error_msg", f"{len(answer.data):,} bytes that are not of our API"))[:200]


def _number(header: str | None) -> int:
    """-1 for what is none."""
    return int(header) if header is not None and header.isdecimal() and header.isascii() else -1


def _refusal_remedy(status: int) -> str:
    if status in {401, 403}:
        return "give a token with the role report: --token-file; `taskstream tokens add` makes one"
    return "see the edge's /readyz and its log" if status >= 500 else "is this the address of the edge?"


def _after(began_s: float) -> str:
    return f"after {(time.monotonic() - began_s) * 1000:.0f} ms"
