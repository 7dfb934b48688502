"""Generates an AsyncAPI 3 document from the declared topics and the released schemas. It never contacts a broker.

The format: https://www.asyncapi.com/docs/reference/specification/v3.0.0 with version 0.5.0 of the Kafka bindings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import metadata, resources
from typing import Any, Final

from taskstream.schemas.catalog import Schema, released
from taskstream.schemas.cloud_events import EDGE, REBUILD, WORKER, constant_headers
from taskstream.schemas.codec.wire_format import Reason
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topic, Topics

AVRO: Final = "application/vnd.apache.avro+json;version=1.9.0"
"""The newest version that the official parser knows; it skips a schema of another one without a word."""
_TOMBSTONE: Final = "SeriesForgotten"
_NOTE_WITHDRAWN: Final = "NoteWithdrawn"
_REDRIVE_NOTE: Final = "RedriveNote"
_BINDING: Final = {"bindingVersion": "0.5.0"}
_DECIMAL = re.compile(r"\d+\.\d+")
_KEYS: Final = {
    "project_id/task_id": "The first slash ends the project id; the rest is the task id.",
    "project_id/task_id/subtask_name": "The first slash ends the project id; the last slash begins the subtask name.",
}
_OPERATIONS: Final = (
    ("recordReport", "send", "progress", "The edge writes one event per report and answers 200 once Kafka has it."),
    ("foldReports", "receive", "progress", "The workers share the partitions and fold each report exactly once."),
    ("publishState", "send", "state", "The workers publish the new state of a series, or a tombstone when it expires."),
    ("followState", "receive", "state", "Every view reads all partitions of the state, without a consumer group."),
    ("publishRates", "send", "rates", "The workers publish one record per series and minute when the minute closes."),
    ("raiseSignals", "send", "signals", "The workers publish a signal when a task changes in a way that needs action."),
    (
        "noteTask",
        "send",
        "notes",
        "A view writes what an operator notes about a task, or a tombstone that withdraws it.",
    ),
    ("followNotes", "receive", "notes", "Every view and notifier reads all notes, without a consumer group."),
    ("keepRejected", "send", "rejected", "The workers copy records that they cannot decode, byte for byte."),
    ("probeBroker", "send", "probe", "An idle edge writes an empty record to test that Kafka acknowledges."),
)


def document(topics: Topics) -> dict[str, Any]:
    """The AsyncAPI document of these topics, ready for `json.dumps`. It lists only the declared topic settings."""
    channels = {_suffix(topics, topic): _channel(topics, topic) for topic in topics.all}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:taskstream",
        "info": {
            "title": "taskstream",
            "version": metadata.version("taskstream"),
            "description": (
                "Progress reports of server migrations as an event stream, and the streams derived from them. A value "
                "is a zero byte, the schema id in four bytes (big-endian), and the record in Avro's binary encoding. "
                "The id comes from the schema registry if one is configured, else from `x-schema-id`. Consumers must "
                "set isolation.level=read_committed."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/avro",
        "channels": channels,
        "operations": {name: _operation(topics, *rest) for name, *rest in _OPERATIONS},
        "components": {"messages": _messages(topics)},
    }


def _suffix(topics: Topics, topic: Topic) -> str:
    return topic.name.removeprefix(f"{topics.prefix}.")


def _channel(topics: Topics, topic: Topic) -> dict[str, Any]:
    names = _message_names(topics, topic)
    configuration: dict[str, Any] = {
        name: [value] if name == "cleanup.policy" else _setting(value) for name, value in topic.config.items()
    }
    return {
        "address": topic.name,
        "description": _DESCRIPTIONS[_suffix(topics, topic)],
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


def _operation(topics: Topics, action: str, channel: str, summary: str) -> dict[str, Any]:
    """One operation: receivers accept every version of a record, senders write the newest."""
    topic = next(each for each in topics.all if _suffix(topics, each) == channel)
    names = _message_names(topics, topic)
    if action == "send":
        names = [name for name in names if name in (_TOMBSTONE, _NOTE_WITHDRAWN, names[-1])]
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }
    if channel == "progress" and action == "receive":
        group = {"type": "string", "const": f"{topics.prefix}.worker"}
        operation["bindings"] = {"kafka": {"groupId": group, **_BINDING}}
    return operation


def _message_names(topics: Topics, topic: Topic) -> list[str]:
    """The messages of a topic: a tombstone if it is compacted, then every released version, the newest last."""
    if topic.value is None:
        return [_REDRIVE_NOTE, "RejectedRecord"] if topic == topics.rejected else ["Probe"]
    names = [schema.title for schema in released() if schema.name == topic.value]
    tombstone = _NOTE_WITHDRAWN if topic == topics.notes else _TOMBSTONE
    return [tombstone, *names] if topic.compacted else names


def _messages(topics: Topics) -> dict[str, Any]:
    ids = TableIds()
    messages: dict[str, Any] = {}
    for topic in topics.all:
        for schema in released():
            if schema.name == topic.value:
                messages[schema.title] = _record_message(topic, schema, ids.id_of(schema))
    messages[_TOMBSTONE] = {
        "summary": "A tombstone: the series with this key has expired.",
        "payload": {"type": "null"},
        "bindings": {"kafka": {"key": _key(topics.state), **_BINDING}},
    }
    messages[_NOTE_WITHDRAWN] = {
        "summary": "A tombstone: the note of the task with this key is withdrawn.",
        "payload": {"type": "null"},
        "bindings": {"kafka": {"key": _key(topics.notes), **_BINDING}},
    }
    messages["RejectedRecord"] = {
        "summary": "A record that a worker could not decode: its key, value and headers unchanged, plus the reason.",
        "contentType": "application/octet-stream",
        "headers": _REJECTED_HEADERS,
        "payload": {"description": "Any bytes, or none."},
        "bindings": {"kafka": {"key": {"description": "Any bytes, or none."}, **_BINDING}},
    }
    messages[_REDRIVE_NOTE] = {
        "summary": "The offsets of this partition that were redriven: first and last offset of each range.",
        "contentType": "application/json",
        "headers": _strings({"taskstream_note": {"const": "driven"}, "content-type": {"const": "application/json"}}),
        "payload": {
            "type": "object",
            "properties": {"driven": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}},
            "required": ["driven"],
        },
    }
    messages["Probe"] = {
        "summary": "An empty record.",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "maxLength": 0},
    }
    return messages


def _record_message(topic: Topic, schema: Schema, schema_id: int) -> dict[str, Any]:
    message: dict[str, Any] = {
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
    if schema.name in _HEADERS:
        message["headers"] = _HEADERS[schema.name]
    return message


def _key(topic: Topic) -> dict[str, Any]:
    return {"type": "string", "title": topic.key, "description": _KEYS[topic.key]}


def _example(schema: Schema) -> dict[str, Any]:
    path = resources.files("taskstream.schemas").joinpath(f"examples/{schema.title}.json")
    typical: dict[str, Any] = json.loads(path.read_text("utf-8"))["typical"]
    return typical


def _setting(value: str) -> int | float | str:
    """A topic's setting as JSON writes it."""
    if value.isdecimal():
        return int(value)
    return float(value) if _DECIMAL.fullmatch(value) else value


def _strings(properties: Mapping[str, Mapping[str, Any]], *, optional: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The JSON schema of record headers: each value is a UTF-8 string; unlisted headers are allowed."""
    return {
        "type": "object",
        "properties": {name: {"type": "string", **each} for name, each in properties.items()},
        "required": [name for name in properties if name not in optional],
    }


_DRIVES: Final = {"pattern": "^[0-9]+$", "description": "How often the record was redriven from the rejected topic."}


def _cloud_event(record: str, source: str, event_id: str) -> dict[str, dict[str, Any]]:
    """The required attributes of CloudEvents, and the media type."""
    constants = {name: {"const": value.decode()} for name, value in constant_headers(record, source)}
    constants["ce_specversion"]["description"] = "CloudEvents, binary content mode."
    return {"ce_id": {"description": event_id}, **constants}


_NUMBERED: Final = "Unique for each record; a copy of a record keeps it."
_REPORTED: Final = _cloud_event("ProgressReported", EDGE, "The event id. A report that is retried keeps its event id.")
_STATE: Final = _cloud_event("SeriesState", WORKER, _NUMBERED)
_STATE["ce_source"] = {"enum": [WORKER, REBUILD]}
_HEADERS: Final = {
    "ProgressReported": _strings(
        {
            **_REPORTED,
            "ce_time": {"format": "date-time", "description": "When the edge received the report."},
            "traceparent": {"description": "The caller's W3C trace context, if it sent one."},
            "taskstream_drives": _DRIVES,
        },
        optional=frozenset({"traceparent", "taskstream_drives"}),
    ),
    "SignalRaised": _strings(
        {
            **_cloud_event("SignalRaised", WORKER, _NUMBERED),
            "ce_time": {"format": "date-time", "description": "When the signal was raised: `raised_at`."},
        }
    ),
    "RateWindow": _strings(_cloud_event("RateWindow", WORKER, _NUMBERED)),
    # Only with the worker's option --state-headers, and on the rows that `replay rebuild` writes.
    "SeriesState": _strings(_STATE, optional=frozenset(_STATE)),
}
_REJECTED_HEADERS: Final = _strings(
    {
        "taskstream_reason": {"enum": [str(each) for each in Reason], "description": "Why decoding failed."},
        "taskstream_detail": {"description": "The reason as a sentence, with the offending value."},
        "taskstream_topic": {"description": "The topic that the record was read from."},
        "taskstream_partition": {"pattern": "^[0-9]+$"},
        "taskstream_offset": {"pattern": "^[0-9]+$"},
        "taskstream_timestamp_ms": {"pattern": "^-?[0-9]+$", "description": "The record's timestamp on that topic."},
        "taskstream_drives": _DRIVES,
    },
    optional=frozenset({"taskstream_drives"}),
)
_DESCRIPTIONS: Final = {
    "progress": "Every acknowledged report, ordered within its task. The record timestamp is the time of receipt.",
    "state": "The newest state of every series (one subtask of one task), in the same partition number as its events.",
    "rates": "One record per series and closed minute.",
    "signals": "Changes of a task that may need action, with the figures that triggered each signal.",
    "notes": "The newest note of an operator about a task, until it is withdrawn. A note ends at its `until`.",
    "rejected": "Records of the progress topic that could not be decoded, unchanged.",
    "probe": "Empty records that the edges write to test that Kafka acknowledges. Nothing consumes them.",
}
