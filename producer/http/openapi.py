"""The edge's API in OpenAPI 3.1: its requests and responses. The schemas of the bodies are in `openapi_schemas`."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib import metadata
from typing import Any, Final

from taskstream.producer.admission.limits import TASK_ID_CHARS
from taskstream.producer.http.openapi_schemas import components, reference
from taskstream.producer.http.progress_endpoint import TASK_ID_PATTERN
from taskstream.schemas.http.api_error import (
    FORBIDDEN,
    HEADERS_TOO_LARGE,
    INVALID_FIELD,
    KEY_REUSED,
    MALFORMED,
    REQUEST_TIMEOUT,
    THROTTLED,
    TOO_LARGE,
    TOO_MANY_TASKS,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA,
    ErrorKind,
)
from taskstream.schemas.http.security_schemes import SECURITY_SCHEMES

REPORT_ERRORS: Final = (
    MALFORMED,
    INVALID_FIELD,
    UNAUTHENTICATED,
    FORBIDDEN,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    KEY_REUSED,
    THROTTLED,
    TOO_MANY_TASKS,
    HEADERS_TOO_LARGE,
    UNAVAILABLE,
)
"""The errors of an endpoint that accepts reports."""
READ_ERRORS: Final = (MALFORMED, REQUEST_TIMEOUT, HEADERS_TOO_LARGE, UNAVAILABLE)
"""The errors of all other endpoints: the server sends these before it calls the application."""
_BODY: Final = "Plain, or gzip with a Content-Encoding header. 5.0 is not an integer: write 5."
_ANY_OBJECT: Final = {"type": "object", "additionalProperties": True}
"""Generators take an object without properties for one that has none."""
_RETRY_AFTER: Final = frozenset({"429", "503"})


@functools.cache
def openapi_document(batch_reports: int) -> dict[str, Any]:
    """The whole document, for an edge that accepts this many reports per batch."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "taskstream edge",
            "version": metadata.version("taskstream"),
            "description": "Accepts progress reports of migration agents. 200 means that Kafka has the report.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This edge."}],
        "tags": [
            {"name": "reports", "description": "For agents and relays."},
            {"name": "operation", "description": "For the operator."},
        ],
        "paths": {
            "/v3/tasks/{task_id}/progress": {"put": _put()},
            "/v3/progress": {"post": _post(batch_reports)},
            "/healthz": {
                "get": _get("isAlive", "Liveness of the process", _json("The process is alive.", _ANY_OBJECT))
            },
            "/readyz": {"get": _readyz()},
            "/metrics": {"get": _get("showMetrics", "Metrics for Prometheus", _plain("Prometheus' text format."))},
            "/openapi.json": {"get": _get("showDescription", "This document", _json("OpenAPI 3.1.", _ANY_OBJECT))},
        },
        "components": {
            "schemas": components(),
            "securitySchemes": SECURITY_SCHEMES,
        },
        "security": [{"token": []}, {"signature": []}],
    }


def _put() -> dict[str, Any]:
    task_id = {
        "name": "task_id",
        "in": "path",
        "required": True,
        "description": "The migration task.",
        "schema": {"type": "string", "maxLength": TASK_ID_CHARS, "pattern": TASK_ID_PATTERN},
    }
    return {
        "operationId": "reportProgress",
        "tags": ["reports"],
        "summary": "Report migration progress and rate",
        "parameters": [task_id, _idempotency(), _validate()],
        "requestBody": {
            "required": True,
            "description": f"{_BODY} Unknown fields are ignored.",
            "content": {"application/json": {"schema": reference("ProgressReport")}},
        },
        "responses": {
            "200": {
                "description": "Kafka has acknowledged the report; there is no body. With validate=true nothing was "
                "produced, and the body is JSON of the schema ValidationResult.",
                "headers": {
                    "X-Event-Id": _header("string", "The event's id; equal for every retry with the same key."),
                    "X-Partition": _header("integer", "The event's partition."),
                    "X-Offset": _header("integer", "The event's offset in its partition."),
                    "X-Request-Id": _header("string", "The caller's own, or a random one.", required=True),
                },
            },
            **_errors(REPORT_ERRORS),
        },
    }


def _post(batch_reports: int) -> dict[str, Any]:
    many = {"type": "array", "items": reference("RelayedReport"), "minItems": 1, "maxItems": batch_reports}
    results = {"type": "array", "items": reference("Result"), "minItems": 1, "maxItems": batch_reports}
    lines = "One JSON object per line, each followed by a newline; the schema is that of an array of them."
    sent = {"application/json": {"schema": many}, "application/x-ndjson": {"schema": {**many, "description": lines}}}
    produced = {
        "application/json": {"schema": results},
        "application/x-ndjson": {"schema": {**results, "description": lines}},
    }
    return {
        "operationId": "reportManyProgresses",
        "tags": ["reports"],
        "summary": "Report progress of many tasks at once, for relays",
        "parameters": [_validate()],
        "requestBody": {
            "required": True,
            "description": f"{_BODY} The response has the format of the request.",
            "content": sent,
        },
        "responses": {
            "200": {"description": "Kafka has acknowledged all reports.", "content": produced},
            "207": {
                "description": "Kafka has acknowledged some reports; each result has its own status.",
                "content": produced,
            },
            **_errors(REPORT_ERRORS),
        },
    }


def _readyz() -> dict[str, Any]:
    described = _get("isReady", "Readiness to accept reports", _json("The edge is ready.", reference("Readiness")))
    described["responses"]["503"] = _json(
        "The edge is not ready; the body names the check that fails.", reference("Readiness")
    )
    return described


def _get(operation_id: str, summary: str, good: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "tags": ["operation"],
        "summary": summary,
        "security": [],
        "responses": {"200": good, **_errors(READ_ERRORS)},
    }


def _idempotency() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Gives every retry of the report the same event id. A key that came with another report of the "
        "task is refused with 422, as far as the edge remembers it.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    }


def _validate() -> dict[str, Any]:
    return {
        "name": "validate",
        "in": "query",
        "description": "Check the request and produce nothing; the response shows the event of the report.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    }


def _errors(kinds: Iterable[ErrorKind]) -> dict[str, Any]:
    by_status: dict[str, list[ErrorKind]] = {}
    for kind in kinds:
        by_status.setdefault(str(kind.status), []).append(kind)
    wait = {"Retry-After": _header("integer", "Seconds to wait.", required=True)}
    challenge = {"WWW-Authenticate": _header("string", "The schemes of authentication.", required=True)}
    return {
        status: {
            **_json("; ".join(f"{kind.code}: {kind.title}" for kind in each), reference("Error")),
            "headers": wait if status in _RETRY_AFTER else challenge if status == "401" else {},
        }
        for status, each in by_status.items()
    }


def _header(kind: str, description: str, *, required: bool = False) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": {"type": kind}}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _plain(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}
