"""Follows topics into a lake: reads what is new in rounds, and commits it piece by piece.

It keeps nothing from one round to the next, and joins no group: the lake's own commit has the offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import structlog
from confluent_kafka import KafkaException

from taskstream.consumer.errors import KafkaFailed, LakeGap, RightMissing, StreamGap, TopicRecreated
from taskstream.consumer.export.topic_batches import MOST, TopicBatches
from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin
from taskstream.consumer.kafka.admin.topic_watch import topic_identities
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.ranges import Bound, Latest
from taskstream.consumer.lake.day_and_project import TIME_COLUMNS
from taskstream.consumer.lake.lake_commit import LakeCommit
from taskstream.consumer.lake.lake_writer import LakePiece
from taskstream.schemas.errors import RegistryFailed
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topic

PIECE_ROWS = 200_000
PIECE_BYTES = 64 << 20
_CALL_S = 15.0
_log = structlog.get_logger("lake")


@dataclass(frozen=True, slots=True)
class LakeSettings:
    """How topics are followed."""

    topics: Sequence[Topic]
    start: Bound
    """Where a topic begins that the lake does not have yet."""
    pause_s: float = 60.0
    """Between the ends of two rounds."""
    piece_rows: int = PIECE_ROWS
    """The most records of one commit, or a batch more."""
    skip_gone: bool = False
    """Go on after records that retention removed before the lake had them."""


class LakeOutput(Protocol):
    """Where the follower writes: `LakeWriter` for Parquet files, `IcebergLake` for tables. Each call is one commit.

    All raise `LakeUnusable`.
    """

    @property
    def current(self) -> LakeCommit:
        """How far each topic is, and how many records are there."""

    def begin(self, topic: str, topic_id: str, positions: Mapping[int, int]) -> None:
        """Before anything of a topic is read that is not in `current`."""

    def add(self, piece: LakePiece) -> int:
        """Adds records and the offsets after them, both or neither; returns how many files they became."""

    def merge(self) -> int:
        """After a round: tidies up; returns how many small files became fewer."""


class LakeFollower:
    """`follow(stopping, wait)` until it is stopped, or `round()` once."""

    def __init__(
        self, config: Mapping[str, Any], ids: SchemaIds, writer: LakeOutput, settings: LakeSettings, prefix: str
    ) -> None:
        """config: librdkafka's. prefix: that of the topics, which the names of the lake's folders lack."""
        self._config = {"client.id": "taskstream-lake", **config}
        self._ids = ids
        self._writer = writer
        self._settings = settings
        self._prefix = prefix

    def follow(self, stopping: Callable[[], bool], wait: Callable[[float], object]) -> None:
        """Read rounds until `stopping()`; `wait(s)` pauses. Errors that pass are logged, but those of the first round.

        Raises:
            ConsumerError: the process should end; a supervisor may start it again.
        """
        self.round(stopping)
        problem = ""
        while not stopping():
            wait(self._settings.pause_s)
            try:
                self.round(stopping)
            except RightMissing:
                raise
            except (KafkaFailed, RegistryFailed) as error:
                if str(error) != problem:
                    problem = str(error)
                    _log.warning("waiting for Kafka", problem=problem)
            else:
                problem = ""

    def round(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Bring what the topics have now into the lake; returns how many records that were.

        Raises:
            LakeUnusable: the lake cannot be written.
            LakeGap: retention removed records before the lake had them.
            TopicRecreated: a topic was deleted and created again.
            KafkaFailed: Kafka did not answer.
        """
        identities = self._topic_ids()
        count = 0
        for topic in self._settings.topics:
            if stopping():
                break
            spans = self._spans(topic, identities.get(topic.name, ""))
            try:
                count += self._read(topic, spans, stopping)
            except StreamGap as error:
                raise LakeGap(str(error)) from error
        if merged := self._writer.merge():
            _log.info("merged", files=merged)
        return count

    def _topic_ids(self) -> dict[str, str]:
        names = [each.name for each in self._settings.topics]
        admin = QuietAdmin(self._config)
        try:
            return {name: each.topic_id for name, each in topic_identities(admin, names, _CALL_S).items()}
        except KafkaException as error:
            raise KafkaFailed(f"Kafka did not describe {', '.join(names)}: {admin.why(error)}") from error

    def _spans(self, topic: Topic, topic_id: str) -> dict[int, OffsetRange]:
        """[partition] From where the lake ends to where the topic ends now."""
        current, name = self._writer.current, topic.name
        cluster = Cluster(self._config)
        if name not in current.positions:
            spans = cluster.pinned(name, self._settings.start, Latest())
            self._writer.begin(name, topic_id, {each: span.begin for each, span in spans.items()})
            return spans
        if topic_id != current.topic_ids[name]:
            raise TopicRecreated(
                f"{name} was deleted and created again: the offsets in the lake are not of this topic; begin another "
                "lake",
                name,
            )
        positions = current.positions[name]
        spans = {}
        for each, extent in cluster.extents(name, cluster.partitions(name)).items():
            begin = positions.get(each, extent.begin)
            if begin < extent.begin and not self._settings.skip_gone:
                raise LakeGap(
                    f"{name}-{each}: retention removed {extent.begin - begin:,} offsets from {begin} on before the "
                    "lake had them"
                )
            if begin > extent.end:
                raise LakeGap(f"{name}-{each} ends at {extent.end}, before the lake's offset {begin}: records are lost")
            spans[each] = OffsetRange(max(begin, extent.begin), extent.end)
        return spans

    def _read(self, topic: Topic, spans: Mapping[int, OffsetRange], stopping: Callable[[], bool]) -> int:
        """Commit the records of these offsets in pieces, and what is left when `stopping()`."""
        batches = TopicBatches(self._config, topic, self._ids, spans, None, min(MOST, self._settings.piece_rows))
        held: list[pa.RecordBatch] = []
        unreadable = 0

        def write() -> None:
            nonlocal unreadable
            found = batches.rejected.total()
            table = pa.Table.from_batches(held, batches.schema)
            positions = {**self._writer.current.positions[topic.name], **batches.positions}
            folder = topic.name.removeprefix(f"{self._prefix}.")
            assert topic.value is not None, "the topic holds records"
            piece = LakePiece(topic.name, folder, TIME_COLUMNS[topic.value], table, positions, found - unreadable)
            files = self._writer.add(piece)
            unreadable = found
            held.clear()
            left = sum(span.end - positions[each] for each, span in spans.items())
            if files:
                _log.info("committed", topic=topic.name, rows=table.num_rows, files=files, offsets_left=left)

        for batch in batches:
            held.append(batch)
            enough = sum(each.num_rows for each in held) >= self._settings.piece_rows
            if enough or sum(each.nbytes for each in held) >= PIECE_BYTES or stopping():
                write()
            if stopping():
                return batches.rows
        if held or batches.positions.items() - self._writer.current.positions[topic.name].items():
            write()  # also offsets without records: retention deletes them, too, and they must not look like a gap
        for each in batches.unreadable:
            _log.warning("unreadable", at=f"{topic.name} {each.partition}:{each.offset}", reason=each.reason)
        return batches.rows
