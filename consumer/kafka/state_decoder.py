"""Records of the state topic: the last one of each key, and what they say. It knows the records, not who reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
from confluent_kafka import Message

from taskstream.consumer.errors import StateUnreadable
from taskstream.schemas.codec.column_codec import ColumnReader


def key_of(message: Message) -> str:
    """A record's key; what is no text in it is replaced."""
    key = message.key()
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else key or ""


def newest_of(messages: Iterable[Message]) -> tuple[dict[str, Message], list[str]]:
    """The last record of each key, where it has a value; and the keys whose last one is a tombstone."""
    last = {key_of(message): message for message in messages}
    gone = [key for key, message in last.items() if message.value() is None]
    return {key: message for key, message in last.items() if message.value() is not None}, gone


def states_of(messages: Sequence[Message], reader: ColumnReader, remedy: str) -> pa.RecordBatch:
    """What these records say, all of them.

    Raises:
        StateUnreadable: a record is none of ours; the message ends with `remedy`.
    """
    decoded = reader.read([message.value() for message in messages])
    if decoded.rejected:
        bad = decoded.rejected[0]
        raise unreadable(messages[bad.index], f"{bad.reason}: {bad.detail}", remedy)
    return decoded.batch


def unreadable(message: Message, why: str, remedy: str) -> StateUnreadable:
    """What to say of a record that is none of ours."""
    where = f"{message.topic()}-{message.partition()} offset {message.offset()}"
    return StateUnreadable(f"{where} is no state of ours ({why}): {remedy}")
