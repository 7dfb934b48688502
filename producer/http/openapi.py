"""The API described in OpenAPI 3.1: which request is answered how. What the bodies hold is in `openapi_schemas`."""

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
    MALFORMED,
    REQUEST_TIMEOUT,
    THROTTLED,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA,
    ErrorKind,
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
    HEADERS_TOO_LARGE,
    UNAVAILABLE,
)
"""What an endpoint that takes reports may answer but 200."""
TELLING: Final = (MALFORMED, REQUEST_TIMEOUT, HEADERS_TOO_LARGE, UNAVAILABLE)
"""What one that only tells may answer: these come from the server, before any endpoint is asked."""
_BODY: Final = "Plain, or in gzip with Content-Encoding saying so. 5.0 is no integer: write 5."
_RETRY_AFTER: Final = frozenset({"429", "503"})


@functools.cache
def openapi_document(batch_reports: int) -> dict[str, Any]:
    """The whole description, for an edge that takes so many reports in one batch."""
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
            "/v3/progress": {"post": _post(batch_reports)},
            "/healthz": {"get": _get("Whether the process lives", _json("It does.", {"type": "object"}))},
            "/readyz": {"get": _readyz()},
            "/metrics": {"get": _get("The numbers, for Prometheus", _plain("In Prometheus' text format."))},
            "/openapi.json": {"get": _get("This description", _json("In OpenAPI 3.1.", {"type": "object"}))},
        },
        "components": {
            "schemas": components(),
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "SDK-HMAC-SHA256 with an access key, as the vendor's SDK signs.",
                },
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
        "schema": {"type": "string", "maxLength": TASK_ID_CHARS, "pattern": TASK_ID_PATTERN},
    }
    return {
        "operationId": "reportProgress",
        "summary": "Report migration progress and rate",
        "parameters": [task_id, _idempotency(), _validate()],
        "requestBody": {
            "required": True,
            "description": f"{_BODY} Fields that are not known are ignored.",
            "content": {"application/json": {"schema": reference("ProgressReport")}},
        },
        "responses": {
            "200": {
                "description": "Kafka has the report; there is no body. With validate=true nothing was produced, and "
                "the body is JSON: the schema WouldBe.",
                "headers": {
                    "X-Event-Id": _header(
                        "string", "The event's name; the same for a retried report with the same key."
                    ),
                    "X-Partition": _header("integer", "Where Kafka has it."),
                    "X-Offset": _header("integer", "Where Kafka has it."),
                    "X-Request-Id": _header("string", "The caller's own, or one made up.", required=True),
                },
            },
            **_errors(TAKING),
        },
    }


def _post(batch_reports: int) -> dict[str, Any]:
    many = {"type": "array", "items": reference("RelayedReport"), "minItems": 1, "maxItems": batch_reports}
    results = {"type": "array", "items": reference("Result"), "minItems": 1, "maxItems": batch_reports}
    lines = "One JSON object a line, each ended by a newline; described here as the array of them."
    taken = {"application/json": {"schema": many}, "application/x-ndjson": {"schema": {**many, "description": lines}}}
    told = {
        "application/json": {"schema": results},
        "application/x-ndjson": {"schema": {**results, "description": lines}},
    }
    return {
        "operationId": "reportManyProgresses",
        "summary": "Report for many tasks at once, as a relay does",
        "parameters": [_validate()],
        "requestBody": {
            "required": True,
            "description": f"{_BODY} The answer has the form of the request.",
            "content": taken,
        },
        "responses": {
            "200": {"description": "Kafka has all of them.", "content": told},
            "207": {"description": "Kafka has some of them; each result tells.", "content": told},
            **_errors(TAKING),
        },
    }


def _readyz() -> dict[str, Any]:
    described = _get("Whether reports are welcome", _json("They are.", reference("Readiness")))
    described["responses"]["503"] = _json("They are not; the body names what fails.", reference("Readiness"))
    return described


def _get(summary: str, good: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "security": [], "responses": {"200": good, **_errors(TELLING)}}


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


def _errors(kinds: Iterable[ErrorKind]) -> dict[str, Any]:
    by_status: dict[str, list[ErrorKind]] = {}
    for kind in kinds:
        by_status.setdefault(str(kind.status), []).append(kind)
    wait = {"Retry-After": _header("integer", "Seconds to wait.", required=True)}
    return {
        status: {
            **_json("; ".join(f"{kind.code}: {kind.title}" for kind in each), reference("Error")),
            "headers": wait if status in _RETRY_AFTER else {},
        }
        for status, each in by_status.items()
    }


def _header(kind: str, description: str, *, required: bool = False) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": {"type": kind}}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _plain(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}
