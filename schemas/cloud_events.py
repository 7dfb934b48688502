"""CloudEvents attributes of the records on the topics, as record headers. It knows no record's content.

Binary content mode: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

import datetime as dt
from typing import Final

Headers = list[tuple[str, str | bytes | None]]
EDGE: Final = "/taskstream/edge"
WORKER: Final = "/taskstream/worker"
REBUILD: Final = "/taskstream/rebuild"
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def event_type(record: str) -> str:
    """The CloudEvents type of a record: SignalRaised -> taskstream.SignalRaised."""
    return f"taskstream.{record}"


def constant_headers(record: str, source: str) -> tuple[tuple[str, bytes], ...]:
    """The headers that all records of this name from one source share: all required ones but `ce_id`."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type(record).encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/avro"),
    )


def rfc3339(at_us: int) -> bytes:
    """A time of the years 1 to 9999, microseconds since 1970 UTC, as CloudEvents writes it."""
    at = _EPOCH + dt.timedelta(microseconds=at_us)
    return f"{at.replace(tzinfo=None).isoformat('T', 'microseconds')}Z".encode()
