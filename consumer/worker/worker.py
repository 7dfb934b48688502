"""The worker: batches in, one transaction out, again and again. It puts the parts together and holds the clock.

Between two commits the table is ahead of Kafka; whatever goes wrong, the table and the positions go back together.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import structlog
from confluent_kafka import KafkaException

from taskstream.consumer.errors import KafkaFailed, OffsetsGone, ProducerLost, TooManyRejected, TransactionAborted
from taskstream.consumer.kafka.batch_source import BatchSource, SourceBatch
from taskstream.consumer.kafka.client_log import kafka_logger
from taskstream.consumer.kafka.transaction import Transaction
from taskstream.consumer.state.expiry import expired
from taskstream.consumer.state.series_table import EVENT_COLUMNS, SeriesTable
from taskstream.consumer.state.silence import mark_silent, silent
from taskstream.consumer.worker.gc_control import manual_gc
from taskstream.consumer.worker.jit_warmup import warm_up_jit
from taskstream.consumer.worker.metrics import WorkerMetrics
from taskstream.consumer.worker.orphaned_partitions import OrphanedPartitions
from taskstream.consumer.worker.output import Output
from taskstream.consumer.worker.reject_breaker import RejectBreaker
from taskstream.consumer.worker.settings import WorkerSettings
from taskstream.consumer.worker.state_restore import StateRestore
from taskstream.consumer.worker.topic_check import check_topics
from taskstream.consumer.worker.watchdog import Watchdog
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.ids import SchemaIds

_POLL_S = 0.05
_JUDGE_EVERY_S = 1.0
_ABORTS_MOST = 20
_REBUILDS_MOST = 5
_REBUILDS_WITHIN_S = 120.0
_LIMIT_S = 120.0
Ints = npt.NDArray[np.int64]
_log = structlog.get_logger("worker")


class Worker:
    """One member of the group. `run` returns when it is told to stop; everything else ends in an error.

    `kafka` is librdkafka's configuration without what the parts insist on; `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        kafka: Mapping[str, Any],
        ids: SchemaIds,
        settings: WorkerSettings,
        instruments: WorkerMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kafka = dict(kafka) | {"logger": kafka_logger()}
        self._settings = settings
        self._instruments = instruments
        self._clock = clock
        self._ids = ids
        self._reader = ColumnReader(ids, "ProgressReported", EVENT_COLUMNS)
        self._restore = StateRestore(self._kafka, settings.topics.state.name, ids)
        self._breaker = RejectBreaker(settings.reject_share)
        self._began: float | None = None
        self._aborts = 0
        self._rebuilds: list[float] = []
        self._producing = ExitStack()
        self.table = SeriesTable(settings.fold)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Work until `stopping()`; then commit what is open and leave.

        Raises:
            ConsumerError: what it says; the process should end, and a supervisor may start it again.
        """
        try:
            self._work(stopping)
        except KafkaException as error:
            raise KafkaFailed(f"Kafka refused: {error.args[0].str()}") from error

    def _work(self, stopping: Callable[[], bool]) -> None:
        settings = self._settings
        partitions = check_topics(self._kafka, settings.topics)
        warm_up_jit(self._ids)
        member = {"group.id": settings.group} | ({"group.instance.id": settings.instance} if settings.static else {})
        with ExitStack() as open_parts:
            self._watchdog = open_parts.enter_context(Watchdog())
            open_parts.callback(self._close_transaction)
            self._open_transaction()
            topic = settings.topics.progress.name
            self._orphans = OrphanedPartitions(self._kafka, settings.group, topic, partitions)
            self._source = BatchSource(self._kafka | member, topic, self)
            with self._source, manual_gc():
                self._loop(stopping)
                self._settle()

    def assigned(self, partitions: Sequence[int], unread: Collection[int]) -> None:
        """See `batch_source.RebalanceListener`: read the state of these partitions back."""
        self._settle()
        self._read_back(partitions)
        slots = self.table.of_partitions(list(unread))
        if slots.size:
            counted = np.unique(self.table.rows["partition"][slots]).tolist()
            raise OffsetsGone(
                f"there is state of partitions {counted} on {self._settings.topics.state.name}, and the group "
                f"{self._settings.group!r} has no offsets there: another --group, or the offsets expired or were "
                "deleted. Reading from the beginning would count everything twice: set the offsets with "
                "`kafka-consumer-groups --reset-offsets`, or rebuild into a new --prefix"
            )
        self._instruments.ready = True

    def revoked(self, partitions: Sequence[int]) -> None:
        """See `batch_source.RebalanceListener`: commit what is open while these are still ours."""
        self._settle()
        self._forget(partitions)
        _log.info("revoked", partitions=sorted(partitions), series=len(self.table))

    def lost(self, partitions: Sequence[int]) -> None:
        """See `batch_source.RebalanceListener`: what is open must come to nothing."""
        self._go_back("partitions lost")
        self._forget(partitions)
        _log.warning("lost", partitions=sorted(partitions))

    def _read_back(self, partitions: Sequence[int]) -> None:
        self._forget(partitions)
        began = time.monotonic()
        records = self._restore.restore(partitions, self.table)
        self._instruments.restored(len(partitions), records, time.monotonic() - began)
        _log.info("assigned", partitions=sorted(partitions), series=len(self.table))

    def _loop(self, stopping: Callable[[], bool]) -> None:
        settings = self._settings
        judged = expired_at = time.monotonic()
        while not stopping():
            with self._watchdog.watch("reading, or reading state back,", 10 * _LIMIT_S):
                batch = self._source.read(settings.batch, _POLL_S)
            try:
                if batch.values:
                    self._fold(batch)
                now = time.monotonic()
                if now - judged >= _JUDGE_EVERY_S:
                    judged = now
                    self._judge_silence()
                    self._look_for_orphans(now)
                    gc.collect()
                if now - expired_at >= settings.expire_interval_s:
                    expired_at = now
                    self._bury_expired()
                    self._settle()
                if self._due(now, full=len(batch.values) >= settings.batch // 2):
                    self._settle()
            except TransactionAborted as error:
                self._go_back(str(error))

    def _fold(self, batch: SourceBatch) -> None:
        decoded = self._reader.read(batch.values)
        if self._breaker.trips(len(batch.values), len(decoded.rejected)):
            first = decoded.rejected[0] if decoded.rejected else None
            self._go_back("too many rejected")
            raise TooManyRejected(
                f"more than {self._settings.reject_share:.0%} of the last records cannot be read (the last: "
                f"{first.reason if first else 'none'}: {first.detail if first else ''}): a wrong deployment? Mend it "
                "and start again, or say --reject-share 1 to let them all go to the rejected topic"
            )
        folded = self.table.fold(decoded.batch, batch.partitions[decoded.kept])
        for each in decoded.rejected:
            self._output.reject(batch.messages[each.index], each)
        self._output.take(folded)
        newest = _newest(decoded.batch.column("received_at"), batch.partitions[decoded.kept])
        self._instruments.folded(len(batch.values), len(decoded.rejected), newest)
        self._begin()

    def _begin(self) -> None:
        if self._began is None:
            self._began = time.monotonic()

    def _due(self, now: float, *, full: bool) -> bool:
        if self._began is None:
            return False
        interval_s = self._settings.catch_up_interval_s if full else self._settings.commit_interval_s
        return now - self._began >= interval_s or self.table.changed_count >= self._settings.commit_rows

    def _judge_silence(self) -> None:
        """A series is silent by the clock, and only where we have read all there is: else it is we who are late."""
        now_us = round(self._clock() * 1_000_000)
        self._instruments.lag(self._source.lag(), len(self.table), now_us)
        slots = self._level(silent(self.table.rows, now_us, self.table.settings.bucket_us))
        if slots.size:
            self._output.signal(mark_silent(self.table, slots, now_us))
            self._begin()

    def _look_for_orphans(self, now: float) -> None:
        if alone := self._orphans.left_alone(now, self._source.consumer.memberid() or ""):
            _log.warning("partitions that nobody holds: joining anew", partitions=sorted(alone))
            self._source.rejoin()

    def _bury_expired(self) -> None:
        now_us = round(self._clock() * 1_000_000)
        slots = self._level(expired(self.table.rows, now_us, self._settings.keep_s))
        if slots.size:
            self._output.bury(slots[: self._settings.commit_rows])
            self._begin()

    def _level(self, slots: Ints) -> Ints:
        """Those whose partitions we have read to the end; Kafka is only asked when there are any slots."""
        return slots[np.isin(self.table.rows["partition"][slots], self._source.level())] if slots.size else slots

    def _settle(self) -> None:
        """Commit what is open; or, when that comes to nothing, go back."""
        try:
            self._commit()
        except TransactionAborted as error:
            self._go_back(str(error))
        except ProducerLost as error:
            self._rebuild(str(error))

    def _commit(self) -> None:
        """Send what was folded since the last commit, and its positions, as one."""
        if self._began is None:
            return
        began = time.monotonic()
        rows = self._output.send(self.table, self._transaction)
        topic = self._settings.topics.progress.name
        self._transaction.commit(self._source.positions, topic, self._source.consumer)
        self.table.commit()
        self._output.settled(self.table)
        self._instruments.committed(rows, time.monotonic() - began)
        self._aborts = 0
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._output = Output(self._ids, self._settings.topics)
        self._began = None

    def _go_back(self, why: str) -> None:
        """Put rows and positions back to what is committed."""
        _log.warning("aborted", why=why)
        self._instruments.aborted()
        self._aborts += 1
        if self._aborts > _ABORTS_MOST:
            raise KafkaFailed(f"{_ABORTS_MOST} transactions in a row came to nothing, the last: {why}")
        self.table.rollback()
        self._start_afresh()
        try:
            self._transaction.abort()
            self._source.rewind()
        except ProducerLost as error:
            self._rebuild(str(error))

    def _rebuild(self, why: str) -> None:
        """A new producer, and everything read back: whether the last transaction happened, only Kafka knows."""
        _log.warning("producer lost", why=why)
        now = time.monotonic()
        self._rebuilds = [*(each for each in self._rebuilds if now - each < _REBUILDS_WITHIN_S), now]
        if len(self._rebuilds) > _REBUILDS_MOST:
            raise KafkaFailed(
                f"the producer was lost {_REBUILDS_MOST} times within {_REBUILDS_WITHIN_S:.0f} s (the last: {why}): is "
                f"another worker running as instance {self._settings.instance!r}? Each needs a name of its own"
            )
        self.table.rollback()
        self._close_transaction()
        self._open_transaction()
        held = self._source.held
        self._source.rewind()
        self._read_back(held)

    def _open_transaction(self) -> None:
        identity = f"{self._settings.group}.{self._settings.instance}"
        self._transaction = self._producing.enter_context(Transaction(self._kafka, identity, self._watchdog))
        self._instruments.built()
        self._start_afresh()

    def _close_transaction(self) -> None:
        self._producing.close()

    def _forget(self, partitions: Sequence[int]) -> None:
        self.table.drop(self.table.of_partitions(partitions))


def _newest(received_at: pa.Array, partitions: npt.NDArray[np.int32]) -> dict[int, int]:
    """The time of receipt (us) of the last event of each partition."""
    homes, places = np.unique(partitions[::-1], return_index=True)
    times = np.asarray(received_at.cast(pa.int64()))[::-1][places]
    return dict(zip(homes.tolist(), times.tolist(), strict=True))
