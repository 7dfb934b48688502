"""A simulated fleet's reports straight to the topic: the same events that an edge would make of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, Message, Producer

from taskstream.producer.acks.acked_producer import producer_config
from taskstream.producer.events.event import EventWriter, Receipt, fresh_event_id
from taskstream.producer.events.report_validation import read_report
from taskstream.producer.fleet.delivery_counts import DeliveryCounts
from taskstream.producer.fleet.fleet import FleetReport
from taskstream.schemas.ids import SchemaIds

ACK_TIMEOUT_S = 30.0
QUEUE_LIMIT = 50_000
_STEP_S = 0.2
_LAST_S = 2.0


class TopicSender:
    """`with TopicWay(...) as way:`; see `taskstream.producer.fleet.sender.Way`. `config` is librdkafka's.

    A report is received when it is said. At the end it waits until Kafka has answered for all, or `hurry` is set; what
    then is left has no answer.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        ids: SchemaIds,
        project_id: str,
        counts: DeliveryCounts,
        hurry: threading.Event,
    ) -> None:
        self._config = producer_config(config, ack_timeout_s=ACK_TIMEOUT_S, queue_limit=QUEUE_LIMIT)
        self._topic = topic
        self._ids = ids
        self._project_id = project_id
        self._counts = counts
        self._hurry = hurry

    def __enter__(self) -> Self:
        self._writer = EventWriter(self._ids)
        self._producer = Producer({"log_level": 0, **self._config})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + (ACK_TIMEOUT_S if kind is None else 0.0)
        while len(self._producer) and time.monotonic() < deadline and not self._hurry.is_set():
            self._producer.flush(_STEP_S)
        self._producer.flush(_LAST_S)
        self._producer.purge()
        self._producer.flush(_LAST_S)

    def send(self, order: FleetReport) -> bool:
        """See `Way`."""
        at_us = round(order.at_s * 1_000_000)
        receipt = Receipt(self._project_id, order.task_id, fresh_event_id(at_us), at_us)
        event = self._writer.write(read_report(order.report.body()), receipt)
        self._producer.poll(0)
        try:
            self._producer.produce(
                self._topic,
                event.value,
                event.key,
                on_delivery=partial(self._delivered, order),
                timestamp=event.timestamp_ms,
                headers=event.headers,
            )
        except BufferError:
            return False
        return True

    def wait_for_room(self) -> None:
        """See `Way`."""
        self._producer.poll(0.1)

    def _delivered(self, order: FleetReport, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._counts.acknowledged(order, attempts=1)
        else:
            self._counts.unanswered(order, 1, f"Kafka did not acknowledge: {error.str()}")
