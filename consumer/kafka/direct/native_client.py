"""The way from a client of confluent-kafka to librdkafka's handle, and the proof that it leads there.

Only versions that this was tested with are trusted. Before the first use, two messages go through the library and back,
so that a library whose messages look different is found before anything is read through a wrong pointer.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import confluent_kafka
import numpy as np
from confluent_kafka import Consumer, Producer

from taskstream.consumer.errors import NotProven
from taskstream.consumer.kafka.direct.message_struct import (
    KEY_FIELD,
    KEY_SIZE,
    VALUE_FIELD,
    VALUE_SIZE,
    copy_bytes,
    destroy_messages,
    is_known_layout,
    read_fields,
    read_words,
)
from taskstream.consumer.kafka.direct.record_fields import produce_to
from taskstream.schemas.cloud_events import Headers
from taskstream.schemas.codec.header_columns import HeaderColumns, header_lists
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.librdkafka import library
from taskstream.schemas.librdkafka.client_handle import KNOWN, handle_in, native_version
from taskstream.schemas.librdkafka.library import LibRdKafka, librdkafka

TESTED = {version: KNOWN[version].native for version in ("2.16.0",)}
"""Versions of confluent-kafka that this was tested with, each with its rd_kafka_version()."""
_PURGED = -152
"""RD_KAFKA_RESP_ERR__PURGE_QUEUE."""
_WAIT_MS = 5_000


@functools.cache
def why_not() -> str | None:
    """Why messages cannot be read directly in this process; None: they can. The answer is found once."""
    try:
        version: Any = confluent_kafka.__version__
        _require_versions(version, native_version())
        _require_layout(KNOWN[version].client_bytes)
        _require_messages(librdkafka())
        _require_handles()
    except (NotProven, OSError, AttributeError) as error:
        return str(error)
    return None


def handle_of(client: Consumer | Producer) -> int:
    """The rd_kafka_t* of an open client. Ask `why_not` before.

    Raises:
        NotProven: the client is not one of confluent-kafka, or it is closed.
    """
    kind = _kind_of(client)
    handle = handle_in(client, kind)
    if handle is None:
        raise NotProven(f"{client!r} does not begin with an open handle of librdkafka")
    return handle


def _kind_of(client: object) -> int:
    if isinstance(client, Consumer):
        return library.CONSUMER
    if isinstance(client, Producer):
        return library.PRODUCER
    raise NotProven(f"{client!r} is not a client of confluent-kafka")


def _require_versions(client: str, native: int) -> None:
    if TESTED.get(client) != native:
        tested = ", ".join(f"{each} with librdkafka 0x{number:08x}" for each, number in TESTED.items())
        raise NotProven(
            f"confluent-kafka {client} with librdkafka 0x{native:08x} was not tested with it; tested: {tested}"
        )


def _require_layout(client_bytes: int) -> None:
    if not is_known_layout():
        raise NotProven("this platform lays rd_kafka_message_t out in another way")
    sizes = {each.__name__: each.__basicsize__ for each in (Consumer, Producer)}
    if set(sizes.values()) != {client_bytes}:
        raise NotProven(f"client objects have {sizes} bytes and not {client_bytes}")


def _require_handles() -> None:
    """Find the handle of a new consumer, and recognise it by the name that it was given."""
    consumer = Consumer({"group.id": "proof", "client.id": "taskstream-proof", "log_level": 0})
    try:
        name = librdkafka().call["rd_kafka_name"](handle_of(consumer))
    finally:
        consumer.close()
    if not name.startswith(b"taskstream-proof#consumer-"):
        raise NotProven(f"the handle of a consumer has the name {name!r}")


def _require_messages(opened: LibRdKafka) -> None:
    """Produce two messages with a client that knows no broker, purge them, and read them from their delivery report."""
    call = opened.call
    settings = call["rd_kafka_conf_new"]()
    call["rd_kafka_conf_set"](settings, b"log_level", b"0", None, 0)
    call["rd_kafka_conf_set_events"](settings, library.DELIVERY_REPORTS)
    client = call["rd_kafka_new"](library.PRODUCER, settings, None, 0)
    if not client:
        call["rd_kafka_conf_destroy"](settings)
        raise NotProven("librdkafka makes no producer")
    topic = call["rd_kafka_topic_new"](client, b"proof", None)
    queue = call["rd_kafka_queue_get_main"](client)
    try:
        _produce_two(opened, client, topic)
        call["rd_kafka_purge"](client, library.PURGE_QUEUED)
        found = 0
        while found < len(_SENT):
            event = call["rd_kafka_queue_poll"](queue, _WAIT_MS)
            if not event:
                raise NotProven("librdkafka does not report messages that were purged")
            try:
                found += _compare_report(opened, event, found)
            finally:
                call["rd_kafka_event_destroy"](event)
    finally:
        call["rd_kafka_queue_destroy"](queue)
        call["rd_kafka_topic_destroy"](topic)
        call["rd_kafka_destroy"](client)


_SENT = ((b"key of the first", b"the first value"), (b"", b"2"))
_HEADERS: HeaderColumns = [("same", b"for both"), ("own", PackedValues.of([b"one", b""]))]


def _produce_two(opened: LibRdKafka, client: int, topic: int) -> None:
    keys, values = (PackedValues.of(column) for column in zip(*_SENT, strict=True))
    taken, error = produce_to(client, topic, keys, values, _HEADERS, library.ANY_PARTITION)
    if error:
        text = opened.call["rd_kafka_error_string"](error)
        opened.call["rd_kafka_error_destroy"](error)
        raise NotProven(f"librdkafka accepts {taken} of {len(_SENT)} messages: {text}")


def _compare_report(opened: LibRdKafka, event: int, before: int) -> int:
    """Compare the messages of a delivery report with those that were sent, after `before`; returns how many it has."""
    pointers = np.zeros(len(_SENT), np.uint64)
    count = opened.call["rd_kafka_event_message_array"](event, pointers.ctypes.data, len(_SENT))
    pointers = pointers[:count]
    errors, partitions = np.empty(count, np.int32), np.empty(count, np.int32)
    offsets, timestamps = np.empty(count, np.int64), np.empty(count, np.int64)
    value_bounds, key_bounds = np.empty(count + 1, np.int64), np.empty(count + 1, np.int64)
    code = opened.address("rd_kafka_message_timestamp")
    numbers = errors, partitions, offsets, timestamps
    read_fields(pointers, code, *numbers, value_bounds, key_bounds)
    destroy_messages(pointers[:0], opened.address("rd_kafka_message_destroy"))  # compiles it; the event owns these
    if (errors != _PURGED).any() or (partitions != library.ANY_PARTITION).any():
        raise NotProven(f"purged messages have errors {errors.tolist()} and partitions {partitions.tolist()}")
    sent = _SENT[before : before + count]
    for field, size, wanted in (
        (KEY_FIELD, KEY_SIZE, [key for key, _ in sent]),
        (VALUE_FIELD, VALUE_SIZE, [value for _, value in sent]),
    ):
        sizes = np.empty(count, np.int64)
        read_words(pointers, size, sizes)
        if sizes.tolist() != [len(each) for each in wanted]:
            raise NotProven(f"messages with {wanted} are read with the lengths {sizes.tolist()}")
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        out = np.zeros(int(bounds[-1]), np.uint8)
        copy_bytes(pointers, field, bounds, out.ctypes.data)
        if (read := list(PackedValues.from_bounds(out, bounds))) != wanted:
            raise NotProven(f"messages with {wanted} are read as {read}")
    wanted_headers = list(header_lists(_HEADERS, len(_SENT)))[before : before + count]
    if (found := [headers_of(opened, int(each)) for each in pointers]) != wanted_headers:
        raise NotProven(f"messages with the headers {wanted_headers} have the headers {found}")
    return int(count)


def headers_of(opened: LibRdKafka, message: int) -> Headers:
    """The headers of an rd_kafka_message_t*; they belong to it."""
    call, headers = opened.call, ctypes.c_void_p()
    if call["rd_kafka_message_headers"](message, ctypes.byref(headers)) != 0:
        return []
    name, value, size = ctypes.c_char_p(), ctypes.c_void_p(), ctypes.c_size_t()
    found: Headers = []
    parts: Any = ctypes.byref(name), ctypes.byref(value), ctypes.byref(size)
    while call["rd_kafka_header_get_all"](headers, len(found), *parts) == 0:
        copied = None if not value.value else ctypes.string_at(value.value, size.value)
        found.append(((name.value or b"").decode("utf-8", "replace"), copied))
    return found
