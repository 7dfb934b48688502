"""What can go wrong behind the topic; each message says what to do.

ConsumerError
 ├── StreamGap          the events we would read next are gone from the topic (retention, or another topic)
 │   └── CommittedOffsetGone  ... and the group's committed offset is among them
 ├── TopicsUnfit        a topic is missing, or state does not lie where the events lie
 │   ├── TopicsMissing        ... because one does not exist
 │   └── PartitionsUnequal    ... because progress and state differ in their number of partitions
 ├── OffsetsGone        there is state, and the group has forgotten how far it had read
 ├── StateUnreadable    a record of the state topic is none of ours
 ├── TooManyRejected    so many records cannot be read that something else is wrong
 ├── TransactionAborted the open transaction came to nothing; rows and positions go back
 ├── InstanceFenced     another worker uses the same instance name
 ├── ProducerLost       the transactional producer is dead; it is built anew and everything read back
 ├── BadRange           these words name no part of a topic
 ├── ExportUnusable     this file cannot be exported to: it is there, or half of another export is
 │   ├── ExportExists         ... because it is there
 │   └── PartialExportUnusable ... because a partial export that does not match is there
 ├── RebuildRefused     the state must not be written anew now: what stands in the way
 │   └── RebuildEventsGone    ... because the events that it needs are no longer on the topic
 ├── CopyRefused        records must not be copied there
 │   ├── CopyOntoItself       ... because source and target are one topic
 │   └── PartitionCountsDiffer ... because source and target have different numbers of partitions
 ├── ArchiveUnusable    this file is no whole file of records, or may not be written
 │   └── ArchiveExists        ... because it is there
 ├── NoSuchRecord       there is no record at this place
 └── KafkaFailed        Kafka refused what cannot be tried again
"""

from __future__ import annotations


class ConsumerError(Exception):
    """Root of this room's errors; str() is one sentence for a person."""


class StreamGap(ConsumerError):
    """The events that we would read next are gone from the topic."""


class TopicsUnfit(ConsumerError):
    """A topic is missing, or state does not lie where the events lie."""


class OffsetsGone(ConsumerError):
    """There is state, and the group has forgotten how far it had read: all would be counted twice."""


class StateUnreadable(ConsumerError):
    """A record of the state topic is none of ours."""


class TooManyRejected(ConsumerError):
    """So many records cannot be read that something else is wrong."""


class TransactionAborted(ConsumerError):
    """The open transaction came to nothing; rows and positions go back."""


class InstanceFenced(ConsumerError):
    """Another worker joined the group under the same instance name."""


class ProducerLost(ConsumerError):
    """The transactional producer is dead."""


class KafkaFailed(ConsumerError):
    """Kafka refused what cannot be tried again."""


class BadRange(ConsumerError):
    """These words name no part of a topic."""


class ExportUnusable(ConsumerError):
    """This file cannot be exported to: it is there already, or half of another export is."""


class RebuildRefused(ConsumerError):
    """The state must not be written anew now: what stands in the way, and how to go on."""


class RecordCopyRefused(ConsumerError):
    """Records must not be copied there: onto themselves, or into partitions that are not there."""


class ArchiveUnusable(ConsumerError):
    """This file is no whole file of records, or one is there that would be written over."""


class NoSuchRecord(ConsumerError):
    """There is no record at this place: never, no more, or not yet."""


class CommittedOffsetGone(StreamGap):
    """The group's committed offset is not on the topic: `topic`, `partition` and `group` say which one."""

    def __init__(self, message: str, *, topic: str, partition: int | None, group: str) -> None:
        super().__init__(message)
        self.topic = topic
        self.partition = partition
        self.group = group


class TopicsMissing(TopicsUnfit):
    """A topic of the pipeline under `prefix` does not exist."""

    def __init__(self, message: str, prefix: str) -> None:
        super().__init__(message)
        self.prefix = prefix


class PartitionsUnequal(TopicsUnfit):
    """The progress topic and the state topic have different numbers of partitions."""


class ExportExists(ExportUnusable):
    """The file to export to exists."""


class PartialExportUnusable(ExportUnusable):
    """A partial export is there that this export cannot resume."""


class RebuildEventsGone(RebuildRefused):
    """Events that the rebuild needs are no longer on the topic."""


class CopyOntoItself(RecordCopyRefused):
    """Source and target are the same topic."""


class PartitionCountsDiffer(RecordCopyRefused):
    """Source and target have different numbers of partitions."""


class ArchiveExists(ArchiveUnusable):
    """The file to write exists."""
