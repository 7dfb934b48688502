"""One partition at a time: the fold of its events beside its published rows, at the same point of the stream.

Rows and offsets are written in one transaction, so the rows at the committed offset are known to be those of the fold
up to it. With workers at work both move: what moved is looked at again, and told apart when it will not stand still.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import IsolationLevel

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import EARLIEST, LATEST, Cluster, OffsetRange
from taskstream.consumer.kafka.consumer_group import ConsumerGroup
from taskstream.consumer.replay.difference import DifferenceExcuse, FoldRules, StateDifference, judge
from taskstream.consumer.replay.refold import EventFold, PublishedRows
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.consumer.worker.gc_control import manual_gc
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

BATCH = 20_000
ROUNDS = 12
Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of one partition."""

    partition: int
    begin: int
    """The first offset that was folded."""
    pinned: int
    """The offset up to which both were looked at."""
    complete: bool
    """Whether the fold began with the first event there ever was."""
    exact: bool
    """Whether the offset stood still; else single series moved, and were looked at until they did not."""
    events: int
    unreadable: Mapping[str, int]
    fold: SeriesTable
    found: SeriesTable
    verdict: StateDifference


class Comparison:
    """Compares partition by partition: it holds one's rows at a time. `told` hears of events read."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topics: Topics,
        ids: SchemaIds,
        settings: Settings,
        keep_s: float,
        now_us: int,
        told: Told = lambda _count: None,
    ) -> None:
        # Of one partition at a time, much at once; and its end is told only by an empty answer, which is waited for.
        self._config = {"fetch.wait.max.ms": 10, "max.partition.fetch.bytes": 16 << 20} | dict(config)
        self._cluster = Cluster(config)
        self._topics = topics
        self._ids = ids
        self._settings = settings
        self._keep_us = round(keep_s * 1_000_000)
        self._now_us = now_us
        self._told = told

    def standing(self, partition: int, begin: int, pin: int) -> Compared:
        """Fold begin..pin and compare with the rows as they are; nobody else is at work.

        Raises:
            ConsumerError: a topic could not be read.
        """
        refold, published = EventFold(self._ids, self._settings), PublishedRows(self._ids, self._settings)
        self._fold(refold, partition, begin, pin)
        self._read_state(published, partition, 0)
        verdict = judge(refold.table, published.table, self._rules(refold, begin))
        return self._compared(partition, begin, pin, refold, published, verdict, exact=True)

    def following(self, partition: int, begin: int, group: ConsumerGroup) -> Compared:
        """Fold from `begin` to where the group has come, and compare, also while it goes on.

        Raises:
            ConsumerError: a topic could not be read, or the group's offsets went back.
        """
        refold, published = EventFold(self._ids, self._settings), PublishedRows(self._ids, self._settings)
        first = pin = self._committed(group, partition, begin)
        self._fold(refold, partition, begin, pin)
        verdict, read_to, only = StateDifference(), 0, None
        for _ in range(ROUNDS):
            refold.table.commit()
            read_to = self._read_state(published, partition, read_to)
            after = self._committed(group, partition, begin)
            if after < pin:
                raise KafkaFailed(f"group {group.name} went back from {pin} to {after} in partition {partition}")
            self._fold(refold, partition, pin, after, commit=False)
            moved = frozenset(refold.table.keys[refold.table.changed].tolist())
            verdict.add(judge(refold.table, published.table, self._rules(refold, begin), moved, only))
            pin, only = after, verdict.moving
            if not only:
                break
        verdict.excused[DifferenceExcuse.MOVING] += len(verdict.moving)
        verdict.excused += type(verdict.excused)()  # without what counts nothing
        return self._compared(partition, begin, pin, refold, published, verdict, exact=pin == first)

    def _rules(self, refold: EventFold, begin: int) -> FoldRules:
        return FoldRules(self._now_us, self._keep_us, begin == 0, refold.first_us)

    def _committed(self, group: ConsumerGroup, partition: int, begin: int) -> int:
        """Where the group is; one that has never committed is before the first event."""
        place = group.committed(self._topics.progress.name, [partition])[partition]
        return begin if place is None else place

    def _fold(self, refold: EventFold, partition: int, begin: int, end: int, *, commit: bool = True) -> None:
        if end <= begin:
            return
        span = {partition: OffsetRange(begin, end)}
        with manual_gc(), BoundedReader(self._config, self._topics.progress.name, span) as passage:
            for records in passage.batches(BATCH):
                refold.take(records.messages, records.partitions)
                if commit:
                    refold.table.commit()
                self._told(len(records.messages))

    def _read_state(self, published: PublishedRows, partition: int, begin: int) -> int:
        """Read rows on from `begin`, up to the end that undecided ones have: they are waited for."""
        name = self._topics.state.name
        low, end = (
            self._cluster.offsets(name, [partition], spec, IsolationLevel.READ_UNCOMMITTED)[partition]
            for spec in (EARLIEST, LATEST)
        )
        begin = max(begin, low)
        if begin < end:
            with (
                manual_gc(),
                BoundedReader(self._config, name, {partition: OffsetRange(begin, end)}) as passage,
            ):
                for records in passage.batches(BATCH):
                    published.take(records.messages)
        return end

    @staticmethod
    def _compared(
        partition: int,
        begin: int,
        pin: int,
        refold: EventFold,
        published: PublishedRows,
        verdict: StateDifference,
        *,
        exact: bool,
    ) -> Compared:
        return Compared(
            partition,
            begin,
            pin,
            begin == 0,
            exact,
            refold.events,
            refold.unreadable,
            refold.table,
            published.table,
            verdict,
        )
