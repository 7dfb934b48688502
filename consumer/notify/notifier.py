"""The notifier's loop: signals become alerts, alerts notifications, and what is delivered is committed.

Each receiver has one attempt under way at most, in a thread of its own: one that hangs delays no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import structlog
from confluent_kafka import KafkaException, Message

from taskstream.consumer.errors import ConsumerError, KafkaFailed
from taskstream.consumer.kafka.direct.message_fetch import batch_of
from taskstream.consumer.notes.note_watch import NoteWatch
from taskstream.consumer.notify.alert import Alert, SignalPlace, alerts_of
from taskstream.consumer.notify.dead_letter import DeadLetterFile
from taskstream.consumer.notify.http_post import Answer, Outcome, ReceiverClient
from taskstream.consumer.notify.metrics import NotifyMetrics
from taskstream.consumer.notify.outbox import Notification, Outbox
from taskstream.consumer.notify.settings import NotifySettings, ReceiverType
from taskstream.consumer.notify.signal_source import SignalSource
from taskstream.consumer.notify.webhook import webhook_document
from taskstream.consumer.view.read_model.signal_decoder import SignalDecoder
from taskstream.consumer.view.read_model.signal_log import RaisedSignal
from taskstream.consumer.worker.watchdog import Watchdog
from taskstream.schemas.cloud_events import rfc3339
from taskstream.schemas.errors import RegistryFailed
from taskstream.schemas.ids import SchemaIds

_BATCH = 500
_IDLE_S, _BUSY_S = 0.2, 0.02
_COMMIT_S = 1.0
_REGISTRY_PAUSE_S = 1.0
_log = structlog.get_logger("notify")


def run_notifier(
    kafka: Mapping[str, Any],
    ids: SchemaIds,
    settings: NotifySettings,
    metrics: NotifyMetrics,
    stopping: Callable[[], bool],
    clock: Callable[[], float] = time.time,
) -> None:
    """Notify until `stopping()`; then wait for the attempts under way, commit, and leave the group.

    kafka: librdkafka's configuration, without the settings that the parts insist on. clock: seconds since 1970.

    Raises:
        ConsumerError: the process should end; a supervisor may start it again.
    """
    senders = {name: ReceiverClient(each, settings, clock) for name, each in settings.receivers.items()}
    try:
        with ExitStack() as opened:
            dead_letters = opened.enter_context(DeadLetterFile(settings.dead_letter))
            watchdog = opened.enter_context(Watchdog())
            for each in senders.values():
                opened.callback(each.close)
            source = opened.enter_context(
                SignalSource(
                    {"client.id": "taskstream-notify", **kafka},
                    settings.topic,
                    settings.group,
                    watchdog,
                    from_earliest=settings.from_earliest,
                    clock=time.monotonic,
                    on_lost=metrics.lost,
                )
            )
            send = {name: each.send for name, each in senders.items()}
            notes = opened.enter_context(NoteWatch(kafka, settings.notes_topic, ids, clock))
            notifier = Notifier(
                source, SignalDecoder(ids), send, dead_letters, settings, metrics, clock, notes.is_muted
            )
            notifier.run(stopping)
    except KafkaException as error:
        raise KafkaFailed(f"Kafka refused: {error.args[0].str()}") from error


class Notifier:
    """The loop and its parts. `send`: by name of the receiver, one attempt."""

    def __init__(
        self,
        source: SignalSource,
        decoder: SignalDecoder,
        send: Mapping[str, Callable[[Notification], Outcome]],
        dead_letters: DeadLetterFile,
        settings: NotifySettings,
        metrics: NotifyMetrics,
        clock: Callable[[], float],
        is_muted: Callable[[str, str], bool] = lambda _project_id, _task_id: False,
    ) -> None:
        """`is_muted`: whether the task (project and id) does not alert now."""
        self._source = source
        self._decoder = decoder
        self._send = send
        self._dead_letters = dead_letters
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._outboxes = {
            name: Outbox(
                each,
                settings.routes,
                settings.window_s,
                settings.most_alerts,
                lambda alert: is_muted(alert.signal.project_id, alert.signal.task_id),
            )
            for name, each in settings.receivers.items()
        }
        self._under_way: dict[str, Future[Outcome]] = {}
        self._committed_s = 0.0

    def run(self, stopping: Callable[[], bool]) -> None:
        """Turn until `stopping()`; then wait for the attempts under way."""
        with ThreadPoolExecutor(len(self._outboxes), "send") as pool:
            while not stopping():
                self._turn(pool)
            for future in self._under_way.values():
                future.result()
            self._end_attempts()

    def _turn(self, pool: ThreadPoolExecutor) -> None:
        messages, moved = self._source.read(_BATCH, _BUSY_S if self._under_way else _IDLE_S)
        if moved:
            for outbox in self._outboxes.values():
                outbox.drop(self._source.holds)
                outbox.keep_told(self._source.partitions)
            self._remember()
        if messages:
            self._take(messages)
        self._end_attempts()
        self._begin_attempts(pool)
        pending = self._source.pending
        if pending >= self._settings.most_pending:
            self._source.pause(paused=True)
        elif pending <= self._settings.most_pending // 2:
            self._source.pause(paused=False)
        now_s = self._clock()
        if not 0 <= now_s - self._committed_s < _COMMIT_S:
            self._committed_s = now_s
            self._source.commit()
            self._measure(now_s)

    def _take(self, messages: Sequence[Message]) -> None:
        try:
            signals = self._decoded(messages)
        except RegistryFailed as error:
            _log.warning("registry_failed", why=str(error), remedy="the signals are read again until it answers")
            self._source.rewind()
            time.sleep(_REGISTRY_PAUSE_S)
            return
        now_s = self._clock()
        for message, signal in zip(messages, signals, strict=True):
            origin = _place(message)
            if signal is None:
                self._bury_record(message)
                self._source.took(origin, 0)
                continue
            told = self._routed(signal, origin)
            if not self._source.took(origin, len(told)):
                self._metrics.signals("repeated")
                for alert, _, receiver in told:
                    self._outboxes[receiver].told_before(alert)
                continue
            self._metrics.signals("routed" if told else "unrouted")
            for alert, route, receiver in told:
                self._outboxes[receiver].add(route, alert, now_s)

    def _routed(self, signal: RaisedSignal, origin: SignalPlace) -> list[tuple[Alert, int, str]]:
        """The alerts of a signal, each with the index of its route and the name of a receiver."""
        routed = [(alert, self._settings.route_of(alert)) for alert in alerts_of(signal, origin)]
        return [
            (alert, route, receiver)
            for alert, route in routed
            if route is not None
            for receiver in self._settings.routes[route].receivers
        ]

    def _remember(self) -> None:
        """Read back what Alertmanagers were told of new partitions; they are reminded of what has not ended."""
        told = [each for each in self._settings.receivers.values() if each.type is ReceiverType.ALERTMANAGER]
        if not told:
            return
        since_s = self._clock() - max(each.active_s for each in told)
        try:
            for messages in self._source.history(since_s):
                for message, signal in zip(messages, self._decoded(messages) if messages else (), strict=True):
                    for alert, _, receiver in [] if signal is None else self._routed(signal, _place(message)):
                        self._outboxes[receiver].told_before(alert)
        except (ConsumerError, RegistryFailed) as error:
            _log.warning("history_not_read", why=str(error), meaning="what fired before is not told again")

    def _decoded(self, messages: Sequence[Message]) -> Sequence[RaisedSignal | None]:
        """A signal for each message; None: it cannot be read."""
        found = self._decoder.decode(batch_of(messages))
        if not found.unreadable:
            return found.signals
        alone = [self._decoder.decode(batch_of([each])).signals for each in messages]
        return [each[0] if each else None for each in alone]

    def _begin_attempts(self, pool: ThreadPoolExecutor) -> None:
        now_s = self._clock()
        for name, outbox in self._outboxes.items():
            notification = None if name in self._under_way else outbox.next(now_s)
            for alert in outbox.unsaid():
                self._metrics.signals("muted")
                self._source.settle(alert.origin)
            if notification is not None:
                self._under_way[name] = pool.submit(self._send[name], notification)

    def _end_attempts(self) -> None:
        for name, future in list(self._under_way.items()):
            if not future.done():
                continue
            del self._under_way[name]
            outbox, outcome = self._outboxes[name], future.result()
            if outcome.answer is Answer.ACCEPTED:
                self._metrics.attempted(name, "accepted")
                self._settle(outbox.sent())
                continue
            self._metrics.attempted(name, "failed")
            again = outbox.failed(self._clock(), outcome.pause_s) and outcome.answer is Answer.MAY_PASS
            _log.warning("not_delivered", receiver=name, why=outcome.why, again=again)
            if not again:
                self._bury(outbox.given_up(), outcome.why)

    def _bury(self, notification: Notification, why: str) -> None:
        if notification.reminder:
            return
        self._metrics.attempted(notification.receiver, "dead_letter")
        document = {"receiver": notification.receiver, "notification": webhook_document(notification, self._settings)}
        self._dead_letters.write({"at": self._now(), "why": why, **document})
        self._settle(notification)

    def _bury_record(self, message: Message) -> None:
        self._metrics.signals("unreadable")
        key, value = message.key(), message.value()
        self._dead_letters.write(
            {
                "at": self._now(),
                "why": "the record cannot be read as a signal",
                "signal": str(_place(message)),
                "key": None if key is None else bytes(key).hex(),
                "value": None if value is None else bytes(value).hex(),
            }
        )

    def _settle(self, notification: Notification) -> None:
        for each in () if notification.reminder else notification.alerts:
            self._source.settle(each.origin)

    def _measure(self, now_s: float) -> None:
        self._metrics.ready = self._source.assigned
        self._metrics.pending(self._source.pending)
        for name, outbox in self._outboxes.items():
            self._metrics.waits(name, outbox.waiting, outbox.held(now_s))

    def _now(self) -> str:
        return rfc3339(round(self._clock() * 1_000_000)).decode()


def _place(message: Message) -> SignalPlace:
    partition: Any = message.partition()
    offset: Any = message.offset()
    return SignalPlace(partition, offset)
