"""A record as it was received, with every part of it and nothing decoded: what is copied or sent again."""

from __future__ import annotations

from typing import Any, NamedTuple

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

Headers = list[tuple[str, str | bytes | None]]


class RawRecord(NamedTuple):
    """One record and its position."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    """None: the record has none."""
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


def raw_record(message: Message) -> RawRecord:
    """The record that a consumer without deserializers returned."""
    kind, timestamp_ms = message.timestamp()
    found: Any = message  # confluent-kafka's types allow an error and text, which such a consumer never returns
    return RawRecord(
        found.topic(),
        found.partition(),
        found.offset(),
        None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        found.key(),
        found.value(),
        found.headers() or [],
    )
