"""The worker's loop: read a batch, fold it, commit when it is time. It decides when; `UnitOfWork` knows how.

Between two commits the table is ahead of Kafka; whatever goes wrong, the table and the positions go back together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import structlog

from taskstream.consumer.errors import OffsetsGone, OffsetsMoved, TooManyRejected
from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.kafka.rebalancing_source import RebalanceListener
from taskstream.consumer.records.event_decoder import EventDecoder
from taskstream.consumer.state.series import EVENT_IDS, Health
from taskstream.consumer.state.silence import expired
from taskstream.consumer.state.tasks.task_health import TaskHealth
from taskstream.consumer.worker.lifecycle import WorkerLifecycle, WorkerState
from taskstream.consumer.worker.metrics import WorkerMetrics
from taskstream.consumer.worker.reading_lag import ReadingLag
from taskstream.consumer.worker.reject_breaker import RejectBreaker
from taskstream.consumer.worker.settings import WorkerSettings
from taskstream.consumer.worker.unit_of_work import UnitOfWork
from taskstream.schemas.codec.column_codec import Decoded
from taskstream.schemas.ids import SchemaIds

_POLL_S = 0.05
_CHECK_INTERVAL_S = 1.0
_COMPARED = EVENT_IDS + 1
"""Events at the beginning of a partition that are compared with the state."""
Ints = npt.NDArray[np.int64]
_log = structlog.get_logger("worker")


class EventSource(Protocol):
    """A member of the group: entering creates it, `subscribe` joins, leaving gives its partitions back."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def subscribe(self, listener: RebalanceListener) -> None:
        """Join the group; `listener` is called from within `read`, and when the source is left."""
        ...

    @property
    def topic(self) -> str:
        """The topic that is read."""
        ...

    @property
    def unmarked(self) -> Collection[int]:
        """The held partitions whose committed offset has no marker; see `BatchSource.unmarked`."""
        ...

    def read(self, most: int, timeout_s: float) -> SourceBatch:
        """Up to `most` records, waiting up to `timeout_s` for the first."""
        ...

    def lag(self) -> Mapping[int, int | None]:
        """For each held partition the number of records after its position; None while it is unknown."""
        ...

    def level(self) -> Sequence[int]:
        """The held partitions that are read to their end; this asks Kafka."""
        ...


class Worker:
    """One member of the group. `run` returns when it is asked to stop; everything else ends in an error.

    `work` reads from `source`, and shares `lifecycle` with this. `clock` gives seconds since 1970. `each_second` is
    called about once a second, between two batches, with the time of `monotonic_s`.
    """

    def __init__(
        self,
        source: EventSource,
        work: UnitOfWork,
        lifecycle: WorkerLifecycle,
        ids: SchemaIds,
        settings: WorkerSettings,
        metrics: WorkerMetrics,
        each_second: Callable[[float], None],
        clock: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._work = work
        self._lifecycle = lifecycle
        self._settings = settings
        self._metrics = metrics
        self._each_second = each_second
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._decoder = EventDecoder(ids)
        self._reading = ReadingLag()
        self._health = TaskHealth(work.table)
        self._breaker = RejectBreaker(settings.reject_share)
        self._checked_at_s = self._expired_at_s = monotonic_s()

    def run(self, stopping: Callable[[], bool]) -> None:
        """Join the group and work until `stopping()`; then commit what is open, and leave.

        Raises:
            ConsumerError: the process should end; a supervisor may start it again.
        """
        try:
            with self._source:
                self._source.subscribe(self)
                self._lifecycle.move(WorkerState.IDLE)
                while not stopping():
                    self._step()
                self._work.commit()
                self._lifecycle.move(WorkerState.STOPPING)
        except BaseException:
            self._lifecycle.move(WorkerState.FAILED)
            raise
        self._lifecycle.move(WorkerState.STOPPED)

    def assigned(self, partitions: Sequence[int], unread: Collection[int]) -> None:
        """See `RebalanceListener`: read the state of these partitions back."""
        self._work.commit()
        self._work.restore(partitions)
        table = self._work.table
        slots = table.of_partitions(list(unread))
        if slots.size:
            counted = np.unique(table.rows["partition"][slots]).tolist()
            topics, group = self._settings.topics, self._settings.group
            raise OffsetsGone(
                f"{topics.state.name} holds state of partitions {counted}, and the group {group!r} has no offsets for "
                "them: this is another group, its offsets expired or were deleted, or the topic of the events was "
                "created again. Reading from the beginning would count everything twice"
            )
        restored = table.rows[table.of_partitions(partitions)]
        self._reading.restart(restored["partition"], restored["last_seen"], self._now_us(), self._monotonic_s())
        self._metrics.ready = True

    def revoked(self, partitions: Sequence[int]) -> None:
        """See `RebalanceListener`: commit what is open while these partitions are still ours."""
        self._work.commit()
        self._work.forget(partitions)
        self._reading.forget(partitions)
        _log.info("revoked", partitions=sorted(partitions), series=len(self._work.table))

    def lost(self, partitions: Sequence[int]) -> None:
        """See `RebalanceListener`: roll back what is open."""
        if self._work.is_open:
            self._work.roll_back("partitions lost")
        self._work.forget(partitions)
        self._reading.forget(partitions)
        _log.warning("lost", partitions=sorted(partitions))

    def _step(self) -> None:
        batch = self._source.read(self._settings.batch, _POLL_S)
        if len(batch):
            self._fold(batch)
        now_s = self._monotonic_s()
        if now_s - self._checked_at_s >= _CHECK_INTERVAL_S:
            self._checked_at_s = now_s
            self._mark_silent()
            self._each_second(now_s)
        if now_s - self._expired_at_s >= self._settings.expire_interval_s:
            self._expired_at_s = now_s
            self._drop_expired()
        if self._is_due(now_s, full=len(batch) >= self._settings.batch // 2):
            self._work.commit()

    def _fold(self, batch: SourceBatch) -> None:
        decoded = self._decoder.decode(batch.values, batch.timestamps_ms)
        if self._breaker.trips(len(batch), len(decoded.rejected)):
            last = decoded.rejected[0] if decoded.rejected else None
            raise TooManyRejected(
                f"more than {self._settings.reject_share:.0%} of the last records cannot be read (one of them: "
                f"{last.reason if last else 'none'}: {last.detail if last else ''}): is a wrong version deployed?"
            )
        if self._source.unmarked:
            self._refuse_moved_offsets(batch, decoded)
        self._work.add(batch, decoded)
        received_at_us = np.asarray(decoded.batch.column("received_at").cast(pa.int64()))
        partitions = batch.partitions[decoded.kept]
        self._reading.add(partitions, received_at_us, self._now_us(), self._monotonic_s())

    def _refuse_moved_offsets(self, batch: SourceBatch, decoded: Decoded) -> None:
        """Where an offset has no marker, compare the first events after it with the state, before any is folded.

        Version 0.1 committed offsets without a marker, and then an event is newer than the state of its series, unless
        edges raced. After a set back, the first events are older than that state. A set back over at most as many
        events as a series has ids of does no harm.
        """
        partitions = batch.partitions[decoded.kept]
        names = [decoded.batch.column(each) for each in ("project_id", "task_id", "subtask_name")]
        received_at_us = np.asarray(decoded.batch.column("received_at").cast(pa.int64()))
        table = self._work.table
        for partition in sorted(self._source.unmarked):
            first = np.flatnonzero(partitions == partition)[:_COMPARED]
            known = older = 0
            for index in first.tolist():
                slots = table.find(["/".join(each[index].as_py() for each in names)])
                known += slots.size
                older += int((received_at_us[index] < table.rows["last_seen"][slots]).sum())
            if 2 * older > known:
                offset = int(batch.offsets[decoded.kept[first[0]]])
                raise OffsetsMoved(
                    f"the offset of the group {self._settings.group!r} for {self._source.topic}-{partition} was set "
                    f"back to {offset} by another program: the events from there on are already in the state, and "
                    "would count twice"
                )

    def _is_due(self, now_s: float, *, full: bool) -> bool:
        """Whether to commit now; `full`: there is more to read than one batch holds."""
        if not self._work.is_open:
            return False
        interval_s = self._settings.catch_up_interval_s if full else self._settings.commit_interval_s
        waited_s = now_s - self._work.opened_at_s
        return waited_s >= interval_s or self._work.table.changed_count >= self._settings.commit_rows

    def _mark_silent(self) -> None:
        """Judge silence in partitions read to their end, each by the time up to which it was read."""
        table, now_us = self._work.table, self._now_us()
        self._metrics.lag(self._source.lag(), len(table), now_us)
        self._health.refresh()
        resumed = self._health.superseded_marks()
        if resumed.size:
            self._work.end_pauses(resumed, now_us)
        slots = self._health.newly_silent(now_us)
        judged_at_us = self._reading.judged_at_us(table.rows["partition"][slots], now_us, self._monotonic_s())
        judged = self._health.judge(slots, judged_at_us)
        silent = judged.health == Health.SILENT
        silent[silent] = self._are_level(slots[silent])
        if silent.any():
            self._work.mark_silent(slots[silent], judged_at_us[silent], judged.limit_s[silent])

    def _drop_expired(self) -> None:
        table = self._work.table
        slots = expired(table.rows, self._now_us(), self._settings.keep_s)
        slots = slots[self._are_level(slots)]
        if slots.size:
            self._work.drop_series(slots[: self._settings.commit_rows])
        self._work.commit()

    def _are_level(self, slots: Ints) -> npt.NDArray[np.bool_]:
        """Whether the partitions of these series are read to their end; Kafka is asked only when there are any."""
        if not slots.size:
            return np.zeros(0, np.bool_)
        return np.isin(self._work.table.rows["partition"][slots], self._source.level())

    def _now_us(self) -> int:
        return round(self._clock() * 1_000_000)
