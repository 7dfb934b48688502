"""The API described in OpenAPI 3.1, built from the model that checks the reports and the table of errors."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib import metadata
from typing import Any, Final

from producer.admission import TASK_ID_CHARS
from producer.batch import RelayedReport
from producer.report import ProgressReport
from schemas.api_error import (
    FORBIDDEN,
    INVALID_FIELD,
    MALFORMED,
    REQUEST_TIMEOUT,
    THROTTLED,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA,
    Kind,
)

TAKING: Final = (
    MALFORMED,
    INVALID_FIELD,
    UNAUTHENTICATED,
    FORBIDDEN,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    THROTTLED,
    UNAVAILABLE,
)
"""What an endpoint that takes reports may answer but 200."""
_REF: Final = "#/components/schemas/{model}"


@functools.cache
def openapi_document() -> dict[str, Any]:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "taskstream edge",
            "version": metadata.version("taskstream"),
            "description": "Takes the progress reports of migration agents. 200 means that Kafka has the report.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v3/tasks/{task_id}/progress": {"put": _put()},
            "/v3/progress": {"post": _post()},
            "/healthz": {"get": _get("Whether the process lives", {"200": _json("It does.", {"type": "object"})})},
            "/readyz": {
                "get": _get(
                    "Whether reports are welcome",
                    {
                        "200": _json("They are.", {"type": "object"}),
                        "503": _json("They are not; the body names what fails.", {"type": "object"}),
                    },
                )
            },
        },
        "components": {
            "schemas": {
                "ProgressReport": _schema(ProgressReport),
                "RelayedReport": _schema(RelayedReport),
                "Error": _error_schema(),
                "Result": _result_schema(),
            },
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "signature": {"type": "apiKey", "in": "header", "name": "Authorization"},
            },
        },
        "security": [{"token": []}, {"signature": []}],
    }


def _put() -> dict[str, Any]:
    task_id = {
        "name": "task_id",
        "in": "path",
        "required": True,
        "description": "The migration task.",
        "schema": {"type": "string", "maxLength": TASK_ID_CHARS, "pattern": "^[^\\x00-\\x1f\\x7f]*$"},
    }
    return {
        "operationId": "reportProgress",
        "summary": "Report migration progress and rate",
        "parameters": [task_id, _idempotency(), _validate()],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REF.format(model="ProgressReport")}}},
        },
        "responses": {
            "200": {
                "description": "Kafka has the report. With validate=true: it would be taken, and the body shows how.",
                "headers": {
                    "X-Event-Id": _header(
                        "string", "The event's name; the same for a retried report with the same key."
                    ),
                    "X-Partition": _header("integer", "Where Kafka has it."),
                    "X-Offset": _header("integer", "Where Kafka has it."),
                    "X-Request-Id": _header("string", "The caller's own, or one made up."),
                },
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            **_errors(TAKING),
        },
    }


def _post() -> dict[str, Any]:
    many = {"type": "array", "items": {"$ref": _REF.format(model="RelayedReport")}, "minItems": 1, "maxItems": 1000}
    results = {"type": "array", "items": {"$ref": _REF.format(model="Result")}}
    answers = {
        "application/json": {"schema": results},
        "application/x-ndjson": {"schema": {"$ref": _REF.format(model="Result")}},
    }
    return {
        "operationId": "reportManyProgresses",
        "summary": "Report for many tasks at once, as a relay does",
        "parameters": [_validate()],
        "requestBody": {"required": True, "content": {"application/json": {"schema": many}}},
        "responses": {
            "200": {"description": "Kafka has all of them.", "content": answers},
            "207": {"description": "Kafka has some of them; each line tells.", "content": answers},
            **_errors(TAKING),
        },
    }


def _get(summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "security": [], "responses": responses}


def _idempotency() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes the event's name the same when the report is sent again; X-Request-Id does it as well.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    }


def _validate() -> dict[str, Any]:
    return {
        "name": "validate",
        "in": "query",
        "description": "Check everything and produce nothing; the answer shows the event as it would be.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    }


def _errors(kinds: Iterable[Kind]) -> dict[str, Any]:
    by_status: dict[str, list[Kind]] = {}
    for kind in kinds:
        by_status.setdefault(str(kind.status), []).append(kind)
    error = {"$ref": _REF.format(model="Error")}
    return {
        status: {
            "description": "; ".join(f"{kind.code}: {kind.title}" for kind in each),
            "headers": {"Retry-After": _header("integer", "Seconds to wait.")} if status in {"429", "503"} else {},
            "content": {"application/json": {"schema": error}},
        }
        for status, each in by_status.items()
    }


def _header(kind: str, description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _schema(model: type[ProgressReport]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("description", None)
    return schema


def _error_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["error_code", "error_msg", "type", "title", "status", "detail", "instance", "retriable"],
        "properties": {
            "error_code": {**text, "description": "For programs."},
            "error_msg": {**text, "description": "For people; names every wrong field with its bound."},
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "instance": {**text, "description": "The request's id, as a URN."},
            "retriable": {"type": "boolean", "description": "Whether the same request may succeed later."},
            "errors": {
                "type": "array",
                "items": {"type": "object", "required": ["field", "rule"], "properties": {"field": text, "rule": text}},
            },
        },
    }


def _result_schema() -> dict[str, Any]:
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
            "event": {"type": "object"},
            "error_code": {"type": "string"},
            "error_msg": {"type": "string"},
            "retriable": {"type": "boolean"},
        },
    }
