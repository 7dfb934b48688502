"""A record as it is carried from one place to another: every part of it as it was, and none of it read."""

from __future__ import annotations

from typing import Any, NamedTuple

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

Headers = list[tuple[str, str | bytes | None]]


class CarriedRecord(NamedTuple):
    """One record, and where it lay."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    """None: it has none."""
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


def carried(message: Message) -> CarriedRecord:
    """What a consumer gave, to be carried on."""
    kind, timestamp_ms = message.timestamp()
    found: Any = message  # no part of a record that was read is an error or a text
    return CarriedRecord(
        found.topic(),
        found.partition(),
        found.offset(),
        None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        found.key(),
        found.value(),
        found.headers() or [],
    )
