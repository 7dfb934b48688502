"""One decoded record: its fields, or that it is a tombstone, or why it cannot be read. It reads no topic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Message

from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.errors import RegistryFailed, Undecodable
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topic

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REJECTED = "taskstream_"
NO_REGISTRY = "registry_failed"
"""The reason of a record whose schema the registry did not return; the others are those of `wire_format.Reason`."""


@dataclass(frozen=True, slots=True)
class DecodedRecord:
    """One record. At most one of `record`, `unreadable` and `rejected` is set; none: it is a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str
    headers: Mapping[str, str]
    value: bytes | None
    project_id: str
    task_id: str
    subtask_name: str
    """"" where the topic has none."""
    record: Mapping[str, Any] | None = None
    """Its fields. Times are datetimes, or integers (microseconds since 1970) beyond the range of datetime."""
    unreadable: tuple[str, str] | None = None
    """Why it cannot be decoded: reason and detail."""
    rejected: Mapping[str, str] | None = None
    """On the rejected topic: the reason, and the origin of the record."""

    @property
    def tombstone(self) -> bool:
        """Whether it deletes its key."""
        return self.value is None and self.unreadable is None and self.rejected is None


class RecordDecoder:
    """Decodes the records of one topic."""

    def __init__(self, topic: Topic, ids: SchemaIds) -> None:
        self._topic = topic
        self._reader = None if topic.value is None else RecordReader(ids, topic.value)
        self._times = frozenset() if topic.value is None else _times_of(topic.value)

    def decode(self, message: Message) -> DecodedRecord:
        """The record. It does not raise: whatever the bytes are, the result has the reason."""
        value = _bytes(message.value())
        bare = self._bare(message, value)
        if self._reader is None:
            origin = {
                name.removeprefix(_REJECTED): each for name, each in bare.headers.items() if name.startswith(_REJECTED)
            }
            return replace(bare, rejected=origin)
        if value is None and self._topic.compacted:
            return bare
        try:
            record = self._reader.read(value)
        except Undecodable as error:
            return replace(bare, unreadable=(error.reason, error.detail))
        except RegistryFailed as error:
            return replace(bare, unreadable=(NO_REGISTRY, str(error)))
        return replace(
            bare,
            project_id=record["project_id"],
            task_id=record["task_id"],
            subtask_name=record.get("subtask_name", ""),
            record={name: self._shown(name, each) for name, each in record.items()},
        )

    def _bare(self, message: Message, value: bytes | None) -> DecodedRecord:
        """The record without its decoded value."""
        headers: Any = message.headers() or ()  # confluent-kafka's type allows more than it returns
        partition: Any = message.partition()
        offset: Any = message.offset()
        key = _text(_bytes(message.key()))
        project_id, task_id, subtask_name = self._identity(key)
        return DecodedRecord(
            topic=self._topic.name,
            partition=partition,
            offset=offset,
            timestamp_ms=message.timestamp()[1],
            key=key,
            headers={name: _text(each) for name, each in headers},
            value=value,
            project_id=project_id,
            task_id=task_id,
            subtask_name=subtask_name,
        )

    def _identity(self, key: str) -> tuple[str, str, str]:
        """Project, task and subtask of the key: they end at its first and its last slash."""
        project_id, _, rest = key.partition("/")
        if not self._topic.key.endswith("/subtask_name"):
            return project_id, rest, ""
        task_id, _, subtask_name = rest.rpartition("/")
        return project_id, task_id, subtask_name

    def _shown(self, name: str, value: Any) -> Any:
        if name in self._times and value is not None:
            try:
                return _EPOCH + timedelta(microseconds=value)
            except OverflowError:
                return value
        return None if isinstance(value, float) and not math.isfinite(value) else value


def _times_of(record: str) -> frozenset[str]:
    """The fields of a record that are timestamps."""
    fields = newest(record).definition["fields"]
    return frozenset(field["name"] for field in fields if "timestamp-micros" in str(field["type"]))


def _bytes(raw: Any) -> bytes | None:
    """A consumer without deserializers returns bytes or None."""
    assert raw is None or isinstance(raw, bytes), "no deserializer is set"
    return raw


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "backslashreplace")
