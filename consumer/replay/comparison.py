"""Compares, for one partition at a time, the fold of its events with its published rows at the same offset.

Workers write rows and offsets in one transaction, so the rows at the committed offset are those of the fold up to it.
While workers run, both advance: series that changed meanwhile are compared again, for a limited number of rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import IsolationLevel

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.gc_control import manual_gc
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.consumer_groups import ConsumerGroup
from taskstream.consumer.replay.difference import DifferenceExcuse, FoldRules, StateDifference, judge
from taskstream.consumer.replay.refold import EventFold, PublishedRows
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

BATCH = 20_000
ROUNDS = 12
OnEvents = Callable[[int], None]
"""Called with the number of events of each batch that was read."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The result for one partition."""

    partition: int
    begin: int
    """The first offset that was folded."""
    pinned: int
    """The offset up to which both were compared."""
    complete: bool
    """Whether the fold began with the first event of the topic's history, offset 0."""
    exact: bool
    """Whether the offset did not change; else series that changed were compared again until they did not."""
    events: int
    unreadable: Mapping[str, int]
    fold: SeriesTable
    found: SeriesTable
    verdict: StateDifference


class Comparison:
    """Compares one partition per call, and holds the rows of one at a time."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topics: Topics,
        ids: SchemaIds,
        settings: Settings,
        keep_s: float,
        now_us: int,
        on_events: OnEvents = lambda _count: None,
    ) -> None:
        # Large fetches, because one partition is read at a time; short waits, because an empty fetch reports its end.
        self._config = {"fetch.wait.max.ms": 10, "max.partition.fetch.bytes": 16 << 20} | dict(config)
        self._cluster = Cluster(config)
        self._topics = topics
        self._ids = ids
        self._settings = settings
        self._keep_us = round(keep_s * 1_000_000)
        self._now_us = now_us
        self._on_events = on_events

    def compare_stopped(self, partition: int, begin: int, pin: int) -> Compared:
        """Fold begin..pin and compare with the rows as they are; no worker runs.

        Raises:
            ConsumerError: a topic could not be read.
        """
        refold, published = EventFold(self._ids, self._settings), PublishedRows(self._ids, self._settings)
        self._fold(refold, partition, begin, pin)
        self._read_state(published, partition, 0)
        verdict = judge(refold.table, published.table, self._rules(refold, begin))
        return self._compared(partition, begin, pin, refold, published, verdict, exact=True)

    def compare_running(self, partition: int, begin: int, group: ConsumerGroup) -> Compared:
        """Fold from `begin` to the group's committed offset and compare, also while workers run.

        Raises:
            ConsumerError: a topic could not be read, or the group's offset was reset.
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
                raise KafkaFailed(f"group {group.name} was reset from {pin} to {after} in partition {partition}")
            self._fold(refold, partition, pin, after, commit=False)
            moved = frozenset(refold.table.keys[refold.table.changed].tolist())
            verdict.add(judge(refold.table, published.table, self._rules(refold, begin), moved, only))
            pin, only = after, verdict.moving
            if not only:
                break
        verdict.excused[DifferenceExcuse.MOVING] += len(verdict.moving)
        verdict.excused += type(verdict.excused)()  # removes zero counts
        return self._compared(partition, begin, pin, refold, published, verdict, exact=pin == first)

    def _rules(self, refold: EventFold, begin: int) -> FoldRules:
        return FoldRules(self._now_us, self._keep_us, begin == 0, refold.first_us)

    def _committed(self, group: ConsumerGroup, partition: int, begin: int) -> int:
        """The group's committed offset; `begin` when it has none."""
        offset = group.committed(self._topics.progress.name, [partition])[partition]
        return begin if offset is None else offset

    def _fold(self, refold: EventFold, partition: int, begin: int, end: int, *, commit: bool = True) -> None:
        if end <= begin:
            return
        unread = {partition: OffsetRange(begin, end)}
        with manual_gc(), BoundedReader(self._config, self._topics.progress.name, unread) as reader:
            for records in reader.columns(BATCH):
                refold.fold(records)
                if commit:
                    refold.table.commit()
                self._on_events(len(records))

    def _read_state(self, published: PublishedRows, partition: int, begin: int) -> int:
        """Read rows from `begin` to the end of undecided transactions, which are waited for; gives that end."""
        name = self._topics.state.name
        extent = self._cluster.extents(name, [partition], IsolationLevel.READ_UNCOMMITTED)[partition]
        unread = OffsetRange(max(begin, extent.begin), extent.end)
        if unread.begin < unread.end:
            with manual_gc(), BoundedReader(self._config, name, {partition: unread}) as reader:
                for records in reader.columns(BATCH):
                    published.add(records)
        return extent.end

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
