"""The fetch of programs that have no switch for it: arrays where the installed client was tested with them."""

from __future__ import annotations

from confluent_kafka import Consumer

from taskstream.consumer.kafka.direct.direct_fetch import DirectFetch
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch
from taskstream.consumer.kafka.direct.native_client import why_not
from taskstream.consumer.kafka.direct.source_batch import Fetch


def best_fetch(consumer: Consumer, topic: str) -> Fetch:
    """A `DirectFetch`, or with an untested version of confluent-kafka a `MessageFetch`."""
    return DirectFetch(consumer, topic) if why_not() is None else MessageFetch(consumer, topic)
