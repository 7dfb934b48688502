"""What the topics hold, beside what the plain oracle makes of the same events: rows, closed windows and signals."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Message

from taskstream.schemas.topics import Topics, series_key
from tests.consumer.oracle.comparison import Records, comparable, differences, expected_rows, rows_of
from tests.consumer.oracle.oracle import Oracle
from tests.consumer.oracle.oracle_series import Event
from tests.pipeline.streams import newest_by_key, read_all, records, table_of


def as_one_undisturbed_fold(bootstrap: str, topics: Topics, sent: int, bucket_s: float) -> None:
    """Fail unless Kafka holds, read_committed, what one fold of the whole progress topic gives, each thing once."""
    events = read_all(bootstrap, topics.progress.name)
    assert len(events) == sent
    oracle = Oracle(round(bucket_s * 1_000_000))
    homes = fold(oracle, events)
    rows = read_all(bootstrap, topics.state.name)
    assert all(homes[message.key().decode()] == message.partition() for message in rows)
    found, expected = rows_of(table_of(newest_by_key(rows), bucket_s)), expected_rows(oracle)
    for row in (*found.values(), *expected.values()):
        del row["partition"]
    assert differences(found, expected) == {}
    for topic, name, expected in (
        (topics.rates.name, "RateWindow", oracle.windows),
        (topics.signals.name, "SignalRaised", oracle.signals),
    ):
        messages = read_all(bootstrap, topic)
        wrong = unlike(told(messages, name, expected), comparable(expected))
        some = {series: wrong[series] | {"records": places(messages, series)} for series in list(wrong)[:5]}
        assert wrong == {}, f"{topic}: {len(wrong)} series: {json.dumps(some, indent=1, default=str)}"


def unlike(found: Records, expected: Records) -> dict[str, dict[str, Any]]:
    """[series] What it told and should not have (or told again), and what it did not tell; or only that the order differs."""
    wrong = {}
    for series in found.keys() | expected.keys():
        has, wants = found.get(series, []), expected.get(series, [])
        if has != wants:
            more, less = list(has), list(wants)
            for each in has:
                if each in less:
                    less.remove(each)
                    more.remove(each)
            wrong[series] = {"told": len(has), "too many": more[:3], "missing": less[:3]}
    return wrong


def places(messages: Sequence[Message], series: str) -> list[str]:
    """Where and when the records about a series were written, by its own key or that of its task."""
    about = [each for each in messages if series.startswith((each.key() or b"-").decode())]
    return [f"{each.partition()}:{each.offset()} at {each.timestamp()[1]}" for each in about]


def fold(oracle: Oracle, messages: Sequence[Message]) -> dict[str, int]:
    """Fold these events; gives where each series lies."""
    homes = {}
    for message, record in zip(messages, records(messages, "ProgressReported"), strict=True):
        series = series_key(record["project_id"], record["task_id"], record["subtask_name"])
        homes[series] = message.partition()
        numbers = (record[name] for name in ("received_at", "progress", "replicatesize", "totalsize"))
        oracle.fold(Event(series, *numbers, record, record["event_id"]))
    return homes


def told(messages: Sequence[Message], name: str, like: Records) -> Records:
    """What each series told, in order, in those words that the oracle has for it."""
    words = next((each[0].keys() for each in like.values() if each), ())
    by_series: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records(messages, name):
        series = series_key(record["project_id"], record["task_id"], record["subtask_name"])
        by_series[series].append({word: record[word] for word in words})
    return comparable(by_series)
