"""The topics told as AsyncAPI 3 tells them, made of the topics and the released schemas. It knows no broker.

https://www.asyncapi.com/docs/reference/specification/v3.0.0 and the Kafka bindings 0.5.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata, resources
from typing import Any, Final

from taskstream.schemas.catalog import Schema, released
from taskstream.schemas.codec.wire_format import Reason
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topic, Topics

AVRO: Final = "application/vnd.apache.avro+json;version=1.12.0"
_TOMBSTONE: Final = "SeriesForgotten"
_NOTE: Final = "DrivenNote"
_BINDING: Final = {"bindingVersion": "0.5.0"}
_KEYS: Final = {
    "project_id/task_id": "The first slash ends the project id; the rest is the task id.",
    "project_id/task_id/subtask_name": "The first slash ends the project id, the last one begins the subtask's name.",
}
_OPERATIONS: Final = (
    ("recordReport", "send", "progress", "The edge records a report, and then answers its agent with 200."),
    ("foldReports", "receive", "progress", "The workers fold reports, exactly once; they share the partitions."),
    ("publishState", "send", "state", "The workers publish what is newly known of a series; a tombstone forgets it."),
    ("followState", "receive", "state", "The views follow the state of everything, in no group."),
    ("publishRates", "send", "rates", "The workers publish each minute that closes, once."),
    ("raiseSignals", "send", "signals", "The workers raise a signal when something changed that one may act on."),
    ("keepRejected", "send", "rejected", "The workers keep what they could not read, as it came."),
    ("probeBroker", "send", "probe", "An idle edge asks Kafka for an acknowledgement."),
)


def document(topics: Topics) -> dict[str, Any]:
    """The whole document. Settings that topics may have beside the declared ones are not told."""
    channels = {_short(topics, topic): _channel(topics, topic) for topic in topics.all}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:taskstream",
        "info": {
            "title": "taskstream",
            "version": metadata.version("taskstream"),
            "description": (
                "Reports of server migrations as an event stream, and what is derived of them. A value is a zero byte, "
                "the schema's id in four bytes (big-endian), and Avro; the ids are a schema registry's where one is "
                "used, else those of `x-schema-id`. Read with isolation.level=read_committed."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/avro",
        "channels": channels,
        "operations": {name: _operation(topics, *rest) for name, *rest in _OPERATIONS},
        "components": {"messages": _messages(topics)},
    }


def _short(topics: Topics, topic: Topic) -> str:
    return topic.name.removeprefix(f"{topics.prefix}.")


def _channel(topics: Topics, topic: Topic) -> dict[str, Any]:
    names = _names_of(topics, topic)
    configuration: dict[str, Any] = {
        name: [value] if name == "cleanup.policy" else _number(value) for name, value in topic.config.items()
    }
    return {
        "address": topic.name,
        "description": _DESCRIPTIONS[_short(topics, topic)],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": configuration,
                **_BINDING,
            }
        },
    }


def _operation(topics: Topics, action: str, short: str, summary: str) -> dict[str, Any]:
    topic = next(each for each in topics.all if _short(topics, each) == short)
    names = _names_of(topics, topic)
    meant = names if action == "receive" else [name for name in names if name in (_TOMBSTONE, names[-1])]
    told: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{short}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{short}/messages/{name}"} for name in meant],
    }
    if short == "progress" and action == "receive":
        group = {"type": "string", "const": f"{topics.prefix}.worker"}
        told["bindings"] = {"kafka": {"groupId": group, **_BINDING}}
    return told


def _names_of(topics: Topics, topic: Topic) -> list[str]:
    """The messages of a topic: every released version of its record, the newest last."""
    if topic.value is None:
        return [_NOTE, "RejectedRecord"] if topic == topics.rejected else ["Probe"]
    names = [schema.title for schema in released() if schema.name == topic.value]
    return [_TOMBSTONE, *names] if topic.compacted else names


def _messages(topics: Topics) -> dict[str, Any]:
    ids = TableIds()
    told: dict[str, Any] = {}
    for topic in topics.all:
        for schema in released():
            if schema.name == topic.value:
                told[schema.title] = _record(topic, schema, ids.id_of(schema))
    told[_TOMBSTONE] = {
        "summary": "A series that is known no more: its key with no value.",
        "payload": {"type": "null"},
        "bindings": {"kafka": {"key": _key(topics.state), **_BINDING}},
    }
    told["RejectedRecord"] = {
        "summary": "A record that could not be read: key, value and headers as they came, and why.",
        "contentType": "application/octet-stream",
        "headers": _REJECTED_HEADERS,
        "payload": {"description": "Any bytes, or none."},
        "bindings": {"kafka": {"key": {"description": "Any bytes, or none."}, **_BINDING}},
    }
    told[_NOTE] = {
        "summary": "Which records of this partition were driven back: first and last offset of each range.",
        "contentType": "application/json",
        "headers": _strings({"taskstream_note": {"const": "driven"}, "content-type": {"const": "application/json"}}),
        "payload": {
            "type": "object",
            "properties": {"driven": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}},
            "required": ["driven"],
        },
    }
    told["Probe"] = {
        "summary": "Nothing of interest.",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "maxLength": 0},
    }
    return told


def _record(topic: Topic, schema: Schema, schema_id: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": schema.name,
        "title": schema.title,
        "summary": schema.definition["doc"],
        "contentType": "application/avro",
        "payload": {"schemaFormat": AVRO, "schema": schema.definition},
        "examples": [{"name": "typical", "payload": _example(schema)}],
        "bindings": {
            "kafka": {
                "key": _key(topic),
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "TopicNameStrategy",
                **_BINDING,
            }
        },
        "x-schema-id": schema_id,
    }
    if schema.name == "ProgressReported":
        told["headers"] = _EVENT_HEADERS
    return told


def _key(topic: Topic) -> dict[str, Any]:
    return {"type": "string", "title": topic.key, "description": _KEYS[topic.key]}


def _example(schema: Schema) -> dict[str, Any]:
    path = resources.files("taskstream.schemas").joinpath(f"examples/{schema.title}.json")
    typical: dict[str, Any] = json.loads(path.read_text("utf-8"))["typical"]
    return typical


def _number(value: str) -> int | float:
    return int(value) if value.isdecimal() else float(value)


def _strings(properties: Mapping[str, Mapping[str, Any]], *, optional: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Headers are strings in UTF-8; there may be others."""
    return {
        "type": "object",
        "properties": {name: {"type": "string", **each} for name, each in properties.items()},
        "required": [name for name in properties if name not in optional],
    }


_DRIVES: Final = {"pattern": "^[0-9]+$", "description": "How often it was driven back from the rejected topic."}
_EVENT_HEADERS: Final = _strings(
    {
        "ce_specversion": {"const": "1.0", "description": "CloudEvents, binary content mode."},
        "ce_id": {"description": "The event id: the same for a report that was tried again."},
        "ce_type": {"const": "taskstream.ProgressReported"},
        "ce_source": {"const": "/taskstream/edge"},
        "ce_time": {"format": "date-time", "description": "When the edge took the report."},
        "content-type": {"const": "application/avro"},
        "traceparent": {"description": "The caller's W3C trace context, where it sent one."},
        "taskstream_drives": _DRIVES,
    },
    optional=frozenset({"traceparent", "taskstream_drives"}),
)
_REJECTED_HEADERS: Final = _strings(
    {
        "taskstream_reason": {"enum": [str(each) for each in Reason], "description": "Why it could not be read."},
        "taskstream_detail": {"description": "The same in words."},
        "taskstream_topic": {"description": "Where it came from."},
        "taskstream_partition": {"pattern": "^[0-9]+$"},
        "taskstream_offset": {"pattern": "^[0-9]+$"},
        "taskstream_timestamp_ms": {"pattern": "^-?[0-9]+$", "description": "The timestamp that it had there."},
        "taskstream_drives": _DRIVES,
    },
    optional=frozenset({"taskstream_drives"}),
)
_DESCRIPTIONS: Final = {
    "progress": "Every acknowledged report, in the order of its task. The record's timestamp is the time of receipt.",
    "state": "The newest state of every series (a subtask of a task), in the partition that its events lie in.",
    "rates": "The closed minutes of every series.",
    "signals": "What changed that somebody may want to act on, with the numbers that decided it.",
    "rejected": "Records of the progress topic that could not be read, as they were received.",
    "probe": "What the edges write to find out whether Kafka acknowledges; nobody reads it.",
}
