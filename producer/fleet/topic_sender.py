"""Writes a fleet's reports to the progress topic directly, as the events that an edge would write. It knows no HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, Message, Producer

from taskstream.producer.acks.acked_producer import producer_config
from taskstream.producer.events.event_builder import EventBuilder, Receipt, new_event_id
from taskstream.producer.events.report_validation import parse_report
from taskstream.producer.fleet.delivery_counts import DeliveryCounts
from taskstream.producer.fleet.fleet import FleetReport
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.librdkafka.unproven_delivery import UNPROVEN

ACK_TIMEOUT_S = 30.0
QUEUE_LIMIT = 50_000
_FLUSH_STEP_S = 0.2
_FINAL_FLUSH_S = 2.0


class TopicSender:
    """A `taskstream.producer.fleet.sender.Sender`; use it as a context manager. `config` has librdkafka's properties.

    The time of receipt of an event is the simulated time of its report. The exit waits until Kafka has acknowledged
    every event or `abort` is set; the remaining events count as unanswered.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        ids: SchemaIds,
        project_id: str,
        counts: DeliveryCounts,
        abort: threading.Event,
    ) -> None:
        self._config = producer_config(config, ack_timeout_s=ACK_TIMEOUT_S, queue_limit=QUEUE_LIMIT)
        self._topic = topic
        self._ids = ids
        self._project_id = project_id
        self._counts = counts
        self._abort = abort

    def __enter__(self) -> Self:
        self._events = EventBuilder(self._ids)
        self._producer = Producer({"log_level": 0, **self._config})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + (ACK_TIMEOUT_S if kind is None else 0.0)
        while len(self._producer) and time.monotonic() < deadline and not self._abort.is_set():
            self._producer.flush(_FLUSH_STEP_S)
        self._producer.flush(_FINAL_FLUSH_S)
        self._producer.purge()
        self._producer.flush(_FINAL_FLUSH_S)

    def send(self, fleet_report: FleetReport) -> bool:
        """See `Sender`."""
        at_us = round(fleet_report.at_s * 1_000_000)
        receipt = Receipt(self._project_id, fleet_report.task_id, new_event_id(at_us), at_us)
        event = self._events.build(parse_report(fleet_report.report.body()), receipt)
        self._producer.poll(0)
        try:
            self._producer.produce(
                self._topic,
                event.value,
                event.key,
                on_delivery=partial(self._on_delivery, fleet_report),
                timestamp=event.timestamp_ms,
                headers=event.headers,
            )
        except BufferError:
            return False
        return True

    def wait_for_room(self) -> None:
        """See `Sender`."""
        self._producer.poll(0.1)

    def _on_delivery(self, sent: FleetReport, error: KafkaError | None, message: Message) -> None:
        if error is None and message.offset() is not None:
            self._counts.add_acknowledged(sent, attempts=1)
        else:
            why = UNPROVEN if error is None else error.str()
            self._counts.add_unanswered(sent, 1, f"Kafka did not acknowledge: {why}")
