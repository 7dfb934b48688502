"""JSON schemas of the request and response bodies, built from the models that validate them."""

from __future__ import annotations

from typing import Any

from taskstream.producer.events.report_validation import ProgressReport
from taskstream.producer.http.batch_endpoint import RelayedReport
from taskstream.producer.http.progress_endpoint import TASK_ID_PATTERN
from taskstream.schemas.subtasks import SUBTASKS


def components() -> dict[str, Any]:
    """Every schema by its name."""
    return {
        "SubtaskName": {"type": "string", "enum": list(SUBTASKS)},
        "ProgressReport": _schema(ProgressReport),
        "RelayedReport": _relayed(),
        "ValidationResult": _validation_result(),
        "Error": _error(),
        "Result": _result(),
        "Readiness": _readiness(),
    }


def reference(name: str) -> dict[str, str]:
    """A reference to one of `components`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _schema(model: type[ProgressReport]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("description", None)
    # By its name, or a generated client has one type of it for each kind of report.
    described = schema["properties"]["subtask_name"]["description"]
    schema["properties"]["subtask_name"] = {**reference("SubtaskName"), "description": described}
    for each in schema["properties"].values():
        if each.get("default", ...) is None:  # generators take a field with a default for one that is always there
            del each["default"]
    return schema


def _relayed() -> dict[str, Any]:
    schema = _schema(RelayedReport)
    schema["properties"]["task_id"]["pattern"] = TASK_ID_PATTERN
    return schema


def _validation_result() -> dict[str, Any]:
    text, count = {"type": "string"}, {"type": "integer", "minimum": 0}
    received_at = {**count, "description": "Microseconds since 1970."}
    event = {"event_id": text, "project_id": text, "task_id": text, "received_at": received_at}
    members = {
        "event": {
            "description": "The event's fields: these and those of the report, null where it has no value.",
            **_object(event),
        },
        "key": {**text, "description": "The record's key: project and task."},
        "headers": {"type": "object", "additionalProperties": text, "description": "The record's headers."},
        "timestamp": {**count, "description": "The record's timestamp: milliseconds since 1970."},
        "value_bytes": {**count, "description": "Length of the record's value in bytes."},
        "unknown_fields": {
            "type": "array",
            "items": text,
            "description": "Names of the fields that this version does not know.",
        },
    }
    return {"description": "The response to validate=true: nothing was produced.", **_object(members)}


def _error() -> dict[str, Any]:
    text = {"type": "string"}
    field = _object({"field": text, "rule": text})
    members = {
        "error_code": {**text, "description": "For programs."},
        "error_msg": {**text, "description": "For people; names every invalid field with its bound."},
        "type": text,
        "title": text,
        "status": {"type": "integer"},
        "detail": text,
        "instance": {**text, "description": "The request's id, as a URN."},
        "retriable": {"type": "boolean", "description": "Whether the same request may succeed later."},
    }
    schema = _object(members)
    schema["properties"]["errors"] = {"type": "array", "items": field}
    return schema


def _result() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["status"],
        "description": "200 with the receipt, or the members of Error.",
        "properties": {
            "number": {"type": "integer", "description": "Which report of the batch, from 0."},
            "status": {"type": "integer"},
            "event_id": {"type": "string"},
            "partition": {"type": "integer"},
            "offset": {"type": "integer"},
            "event": {
                "type": "object",
                "additionalProperties": True,
                "description": "With validate=true: the event that the report would become.",
            },
            "error_code": {"type": "string"},
            "error_msg": {"type": "string"},
            "retriable": {"type": "boolean"},
        },
    }


def _readiness() -> dict[str, Any]:
    checks = {"type": "object", "additionalProperties": {"type": "string"}, "description": "The result of each check."}
    return _object({"status": {"type": "string", "enum": ["ready", "unready"]}, "checks": checks})


def _object(members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(members), "properties": members}
