"""What was folded since the last commit, as one object: changed rows, records to publish, and positions.

They are committed together, rolled back together, or, after a lost producer, read back from Kafka together. Nothing is
compiled, restored or waited for inside an open Kafka transaction: it begins within `commit`, with the first record.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import structlog

from taskstream.consumer.errors import CallUnanswered, InstanceFenced, KafkaFailed, ProducerLost, TransactionAborted
from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.silence import end_pauses, mark_silent
from taskstream.consumer.worker.lifecycle import WorkerLifecycle, WorkerState
from taskstream.consumer.worker.metrics import WorkerMetrics
from taskstream.consumer.worker.output import Output, RecordSender
from taskstream.schemas.codec.column_codec import Decoded, Rejected
from taskstream.schemas.codec.wire_format import Reason

Ints = npt.NDArray[np.int64]
_ABORTS_AT_MOST = 20
"""Consecutive ones."""
_REBUILDS_AT_MOST = 5
_REBUILDS_WITHIN_S = 120.0
_log = structlog.get_logger("worker")


class OffsetTransaction(RecordSender, Protocol):
    """Ends a transaction. After `ProducerLost`, only `renew` is called."""

    def commit(self, topic: str, offsets: Mapping[int, int], membership: Any, unmarked: Collection[int] = ()) -> None:
        """Commit what was sent, and `offsets` (by partition of `topic`) for the group that `membership` is of.

        unmarked: the partitions whose offset is committed without a marker.

        Raises:
            TransactionAborted: nothing is committed.
            ProducerLost: it is unknown whether it is committed.
        """
        ...

    def abort(self) -> None:
        """Abort what was sent, if anything was.

        Raises:
            ProducerLost: the producer cannot continue.
        """
        ...

    def renew(self) -> None:
        """Replace the producer; when this returns, Kafka has decided the last transaction."""
        ...


class PositionedSource(Protocol):
    """The group member that the records come from."""

    topic: str

    @property
    def positions(self) -> Mapping[int, int]:
        """For each held partition the offset after the last record that was read."""
        ...

    @property
    def unproven(self) -> Collection[int]:
        """The held partitions whose committed offset has no marker, and of which nothing was read."""
        ...

    def membership(self) -> Any:
        """What to commit offsets with; None when it is not a member of its group."""
        ...

    def committed(self, offsets: Mapping[int, int]) -> None:
        """These offsets are committed."""
        ...

    def rewind(self) -> None:
        """Go back to the committed offset of every held partition, without asking Kafka."""
        ...

    def rewind_to_kafka(self) -> None:
        """Ask Kafka for the committed offset of every held partition, and go back to it."""
        ...


class StateReader(Protocol):
    """Reads published rows back."""

    def restore(self, partitions: Sequence[int], table: SeriesTable) -> int:
        """Read these partitions of the state topic into `table`; returns the number of records."""
        ...


class CommitTrace(Protocol):
    """Follows the open work for a trace. It must not raise."""

    def folded(self, batch: SourceBatch) -> None:
        """These records are added to the open work."""
        ...

    def ended(self, rows: int | None, why: str = "") -> None:
        """The open work is committed, with so many rows; None: it is not, for the reason `why`."""
        ...


class UnitOfWork:
    """The open work of one worker; it moves the worker's state between IDLE and FOLDING, and through what lies between.

    `add`, `mark_silent` and `drop_series` open it. `commit`, `roll_back` and `rebuild` close it: when they return,
    the state is IDLE, and `table` and the source's positions are what Kafka has committed.
    """

    def __init__(
        self,
        table: SeriesTable,
        output: Output,
        transaction: OffsetTransaction,
        source: PositionedSource,
        state_reader: StateReader,
        lifecycle: WorkerLifecycle,
        metrics: WorkerMetrics,
        monotonic_s: Callable[[], float] = time.monotonic,
        trace: CommitTrace | None = None,
    ) -> None:
        self.table = table
        self.opened_at_s = 0.0
        """When the open work was opened, by `monotonic_s`; meaningless while none is open."""
        self._output = output
        self._transaction = transaction
        self._source = source
        self._state_reader = state_reader
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._monotonic_s = monotonic_s
        self._trace = trace
        self._consecutive_aborts = 0
        self._rebuilt_at_s: deque[float] = deque()

    @property
    def is_open(self) -> bool:
        """Whether anything was added since the last commit, rollback or rebuild."""
        return self._lifecycle.state is WorkerState.FOLDING

    def add(self, batch: SourceBatch, decoded: Decoded) -> None:
        """Fold the records of `batch` that could be read; keep the others, and those of tasks too many, as rejects."""
        self._open()
        partitions = batch.partitions[decoded.kept]
        folded = self.table.fold(decoded.batch, partitions)
        self._output.add_folded(folded)
        rejected = decoded.rejected
        if folded.refused.size:
            refused = [self._refused(decoded, row, int(partitions[row])) for row in folded.refused.tolist()]
            rejected = sorted([*rejected, *refused], key=lambda each: each.index)
        for each in rejected:
            self._output.add_reject(batch.record(each.index), each)
        newest_us = _newest_us(decoded.batch.column("received_at"), partitions)
        counts = len(batch), len(decoded.rejected), folded.refused.size, folded.duplicates
        self._metrics.folded(*counts, newest_us)
        if self._trace is not None:
            self._trace.folded(batch)

    def mark_silent(self, slots: Ints, judged_at_us: Ints, limits_s: npt.NDArray[np.float64]) -> None:
        """Mark these series as silent since their last report, and publish a signal each.

        judged_at_us, limits_s: when each was found silent, and the limit that it exceeded.
        """
        self._open()
        self._output.add_signals(mark_silent(self.table, slots, judged_at_us, limits_s))

    def end_pauses(self, slots: Ints, now_us: int) -> None:
        """Remove the marks of these complete series, whose tasks went on, and publish a signal each."""
        self._open()
        self._output.add_signals(end_pauses(self.table, slots, now_us))

    def drop_series(self, slots: npt.NDArray[np.int64]) -> None:
        """Publish a tombstone for each of these series; they leave the table with the commit, which must be next."""
        self._open()
        self._output.tombstones = slots

    def commit(self) -> None:
        """Commit the open work, if any; when that fails, roll back or rebuild.

        Raises:
            KafkaFailed: Kafka does not answer, or this has failed too often.
            InstanceFenced: the producer was lost too often.
        """
        if not self.is_open:
            return
        self._lifecycle.move(WorkerState.COMMITTING)
        began_s = self._monotonic_s()
        positions = self._source.positions
        try:
            rows = self._output.send(self.table, self._transaction)
            self._transaction.commit(self._source.topic, positions, self._membership(), self._source.unproven)
        except TransactionAborted as error:
            self.roll_back(str(error))
        except ProducerLost as error:
            self.rebuild(error)
        else:
            self._source.committed(positions)
            self.table.commit()
            self.table.drop(self._output.tombstones)
            self._output.clear()
            self._consecutive_aborts = 0
            self._metrics.committed(rows, self._monotonic_s() - began_s)
            self._end_trace(rows)
            self._lifecycle.move(WorkerState.IDLE)

    def roll_back(self, reason: str) -> None:
        """Put the rows and the positions of the open work, if any, back to what is committed.

        Raises:
            KafkaFailed: too many consecutive aborts, or Kafka does not answer.
            InstanceFenced: the producer was lost too often.
        """
        if self._lifecycle.state is WorkerState.IDLE:
            return
        self._lifecycle.move(WorkerState.ABORTING)
        _log.warning("aborted", why=reason)
        self._end_trace(None, reason)
        self._metrics.aborted()
        self._consecutive_aborts += 1
        if self._consecutive_aborts > _ABORTS_AT_MOST:
            raise KafkaFailed(f"{_ABORTS_AT_MOST} consecutive transactions were aborted, the last: {reason}")
        self._restore_memory()
        try:
            self._transaction.abort()
        except ProducerLost as error:
            self.rebuild(error)
            return
        self._source.rewind()
        self._lifecycle.move(WorkerState.IDLE)

    def rebuild(self, lost: ProducerLost) -> None:
        """Replace the lost producer and read everything back: only Kafka knows whether the last commit happened.

        Raises:
            InstanceFenced: the producer was lost too often, with answers from Kafka.
            KafkaFailed: Kafka does not answer.
        """
        self._lifecycle.move(WorkerState.REBUILDING)
        _log.warning("producer lost", why=str(lost))
        self._end_trace(None, str(lost))
        if not isinstance(lost, CallUnanswered):  # while brokers are away, a worker waits as long as it takes
            self._limit_rebuilds(str(lost))
        self._restore_memory()
        self._transaction.renew()
        self._metrics.built()
        # Before the state is read: the offsets are stable when the last transaction is decided.
        self._source.rewind_to_kafka()
        self._read_back(sorted(self._source.positions))
        self._lifecycle.move(WorkerState.IDLE)

    def restore(self, partitions: Sequence[int]) -> None:
        """Read the state of newly assigned partitions back; no work may be open.

        Raises:
            StateUnreadable: a record of the state topic is not ours.
            KafkaFailed: Kafka did not answer.
        """
        self._lifecycle.move(WorkerState.RESTORING)
        self._read_back(partitions)
        self._lifecycle.move(WorkerState.IDLE)

    def forget(self, partitions: Sequence[int]) -> None:
        """Drop the series of these partitions from the table; no work may be open."""
        self.table.drop(self.table.of_partitions(partitions))

    def _end_trace(self, rows: int | None, why: str = "") -> None:
        if self._trace is not None:
            self._trace.ended(rows, why)

    def _refused(self, decoded: Decoded, row: int, partition: int) -> Rejected:
        project_id = decoded.batch.column("project_id")[row].as_py()
        detail = (
            f"the task is new, and project {project_id} has {self.table.tasks_per_partition} live tasks in partition "
            f"{partition}: raise the limit of tasks per project and redrive, or wait until tasks expire"
        )
        return Rejected(int(decoded.kept[row]), Reason.TOO_MANY_TASKS, detail)

    def _open(self) -> None:
        if not self.is_open:
            self._lifecycle.move(WorkerState.FOLDING)
            self.opened_at_s = self._monotonic_s()

    def _membership(self) -> Any:
        membership = self._source.membership()
        if membership is None:
            raise TransactionAborted("this worker is not a member of its group any more")
        return membership

    def _restore_memory(self) -> None:
        self.table.rollback()
        self._output.clear()

    def _limit_rebuilds(self, reason: str) -> None:
        now_s = self._monotonic_s()
        self._rebuilt_at_s.append(now_s)
        while now_s - self._rebuilt_at_s[0] >= _REBUILDS_WITHIN_S:
            self._rebuilt_at_s.popleft()
        if len(self._rebuilt_at_s) > _REBUILDS_AT_MOST:
            raise InstanceFenced(
                f"the producer was lost {_REBUILDS_AT_MOST} times within {_REBUILDS_WITHIN_S:.0f} s: {reason}. "
                "Is another worker running under the same instance name? Each worker needs a name of its own"
            )

    def _read_back(self, partitions: Sequence[int]) -> None:
        self.forget(partitions)
        began_s = self._monotonic_s()
        records = self._state_reader.restore(partitions, self.table)
        self._metrics.restored(len(partitions), records, self._monotonic_s() - began_s)
        _log.info("assigned", partitions=sorted(partitions), series=len(self.table))


def _newest_us(received_at: pa.Array, partitions: npt.NDArray[np.int32]) -> dict[int, int]:
    """The time of receipt (us) of the last event of each partition."""
    homes, places = np.unique(partitions[::-1], return_index=True)
    times = np.asarray(received_at.cast(pa.int64()))[::-1][places]
    return dict(zip(homes.tolist(), times.tolist(), strict=True))
