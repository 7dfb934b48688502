"""Loaded by schemathesis: newline-delimited JSON, which it does not know, and integers as the edge wants them."""

from __future__ import annotations

import json
from typing import Any

import schemathesis

INTEGERS = ("progress", "replicatesize", "totalsize", "remain_time")


@schemathesis.serializer("application/x-ndjson")
def to_lines(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """An array as its elements, a line each; anything else as the one line that it is."""
    lines = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@schemathesis.deserializer("application/x-ndjson")
def from_lines(_context: schemathesis.DeserializationContext, response: schemathesis.Response) -> Any:
    """The lines as an array."""
    return [json.loads(line) for line in response.content.splitlines()]


@schemathesis.hook
def map_body(_context: schemathesis.HookContext, body: Any) -> Any:
    """5.0 as 5: a JSON schema cannot tell them apart, and the edge refuses the first, as it says in words."""
    for report in body if isinstance(body, list) else [body]:
        if isinstance(report, dict):
            for name in INTEGERS:
                value = report.get(name)
                if isinstance(value, float) and value.is_integer():
                    report[name] = int(value)
    return body
