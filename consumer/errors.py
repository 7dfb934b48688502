"""The errors of consumers and of all commands that read or write topics. Each message says what to do.

ConsumerError
 ├── StreamGap                  retention removed records before they were read, or the topic was created again
 │   └── CommittedOffsetGone    the committed offset of the group is no longer on the topic
 ├── TopicsUnfit                a topic of the pipeline is missing or has the wrong number of partitions
 │   ├── TopicsMissing          a topic of the pipeline under `prefix` does not exist
 │   ├── PartitionsUnequal      the progress topic and the state topic have different numbers of partitions
 │   ├── PartitionsAdded        a topic has another number of partitions than before
 │   ├── TopicRecreated         a topic was deleted and created again
 │   └── TopicMisconfigured     a setting of a topic makes the pipeline's records unsafe
 ├── OffsetsGone                the state topic has state, but the consumer group has no committed offsets
 ├── OffsetsMoved               another program set the group's offsets back, to events that the state includes
 ├── StateUnreadable            a record of the state topic cannot be decoded
 ├── TooManyRejected            the share of undecodable records exceeds the limit
 ├── TransactionAborted         the open transaction was aborted; rows and positions are those of the last commit
 ├── InstanceFenced             another worker joined the group under the same instance name
 ├── ProducerLost               the transactional producer failed or was fenced; it must be replaced
 │   └── CallUnanswered         a call of the producer did not return: a broker is away
 ├── KafkaFailed                Kafka returned an error that a retry cannot fix
 │   └── RightMissing           Kafka does not allow this user an operation
 ├── BadRange                   a range of offsets or times is invalid
 ├── ExportUnusable             the export file exists, is incomplete, or cannot be written
 │   ├── ExportExists           the export file exists
 │   ├── ExportFormatUnknown    the file's name selects no format
 │   └── PartialExportUnusable  a partial export exists that this export cannot resume
 ├── RebuildRefused             a precondition of rebuilding the state does not hold
 │   └── RebuildEventsGone      events that the rebuild needs are no longer on the topic
 ├── RecordCopyRefused          the target of a copy is its source, or has another number of partitions
 │   ├── CopyOntoItself         source and target are the same topic
 │   ├── PartitionCountsDiffer  source and target have different numbers of partitions
 │   └── RecordsExpired         the target does not keep records as old as these
 ├── ArchiveUnusable            the archive file is incomplete, exists, or cannot be written
 │   └── ArchiveExists          the archive file exists
 ├── LakeUnusable               the lake cannot be read or written, or another process writes it
 │   └── LakeGap                retention removed records before the lake had them
 ├── LabelsUnusable             the file of labels cannot be read or used
 ├── LinkUnfillable             a link has a placeholder that no task has a value for
 ├── BadQuery                   DuckDB refuses a query
 ├── DuckdbMissing              DuckDB is not installed
 ├── IcebergMissing             pyiceberg is not installed
 ├── ProviderUnavailable        the OpenID Connect provider does not respond, or responds with what it may not
 ├── SignInRefused              the provider, or its ID token, does not allow this person to sign in
 ├── NoSuchRecord               no record has this offset
 ├── NotProven                  the loaded librdkafka, or a client, is not one whose messages can be read directly
 └── DeadLetterUnwritable       what could not be delivered cannot be kept
"""

from __future__ import annotations

from taskstream.schemas.topics import Difference


class ConsumerError(Exception):
    """Root of the errors of this room; str() is one sentence that a person can act on."""


class StreamGap(ConsumerError):
    """Retention removed records before they were read, or the topic was created again."""


class CommittedOffsetGone(StreamGap):
    """The committed offset of the group is no longer on the topic: `topic`, `partition` and `group` say which one."""

    def __init__(self, message: str, *, topic: str, partition: int | None, group: str) -> None:
        super().__init__(message)
        self.topic = topic
        self.partition = partition
        self.group = group


class TopicsUnfit(ConsumerError):
    """A topic of the pipeline is missing or has the wrong number of partitions."""


class TopicsMissing(TopicsUnfit):
    """A topic of the pipeline under `prefix` does not exist."""

    def __init__(self, message: str, prefix: str) -> None:
        super().__init__(message)
        self.prefix = prefix


class PartitionsUnequal(TopicsUnfit):
    """The progress topic and the state topic have different numbers of partitions."""


class PartitionsAdded(TopicsUnfit):
    """A topic has another number of partitions than before; the number is permanent."""


class TopicRecreated(TopicsUnfit):
    """The topic of this name was deleted and created again."""

    def __init__(self, message: str, topic: str) -> None:
        super().__init__(message)
        self.topic = topic


class TopicMisconfigured(TopicsUnfit):
    """A setting of a topic makes the pipeline's records unsafe; `difference` says which, and its declared value."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(f"{difference.topic} {difference.what}")
        self.difference = difference


class OffsetsGone(ConsumerError):
    """The state topic has state, but the consumer group has no committed offsets: every event would count twice."""


class OffsetsMoved(ConsumerError):
    """Another program set the group's offsets back: the events that follow are already in the state."""


class StateUnreadable(ConsumerError):
    """A record of the state topic cannot be decoded."""


class TooManyRejected(ConsumerError):
    """The share of undecodable records exceeds the limit, so the cause is probably not in the records."""


class TransactionAborted(ConsumerError):
    """The open transaction was aborted; rows and positions are those of the last commit."""


class InstanceFenced(ConsumerError):
    """Another worker joined the group under the same instance name."""


class ProducerLost(ConsumerError):
    """The transactional producer failed or was fenced; it must be replaced."""


class CallUnanswered(ProducerLost):
    """A call of the producer did not return: a broker is away, and the producer must be replaced."""


class KafkaFailed(ConsumerError):
    """Kafka returned an error that a retry cannot fix."""


class RightMissing(KafkaFailed):
    """Kafka does not allow this user an operation: the message names the user, the operation and the resource."""


class BadRange(ConsumerError):
    """A range of offsets or times is invalid."""


class ExportUnusable(ConsumerError):
    """The export file exists, is incomplete, or cannot be written."""


class ExportFormatUnknown(ExportUnusable):
    """The file's name has no suffix that selects a format; standard output has none."""


class ExportExists(ExportUnusable):
    """The export file exists."""


class PartialExportUnusable(ExportUnusable):
    """A partial export exists that this export cannot resume."""


class RebuildRefused(ConsumerError):
    """A precondition of rebuilding the state does not hold; the message says which, and how to go on."""


class RebuildEventsGone(RebuildRefused):
    """Events that the rebuild needs are no longer on the topic."""


class RecordCopyRefused(ConsumerError):
    """The target of a copy is its source, has another number of partitions, or keeps no records so old."""


class CopyOntoItself(RecordCopyRefused):
    """Source and target are the same topic."""


class PartitionCountsDiffer(RecordCopyRefused):
    """Source and target have different numbers of partitions."""


class RecordsExpired(RecordCopyRefused):
    """The target topic deletes records of this age."""


class ArchiveUnusable(ConsumerError):
    """The archive file is incomplete, exists, or cannot be written."""


class ArchiveExists(ArchiveUnusable):
    """The archive file exists."""


class LakeUnusable(ConsumerError):
    """The lake cannot be read or written, or another process writes it."""


class LakeGap(LakeUnusable):
    """Retention removed records before the lake had them."""


class LabelsUnusable(ConsumerError):
    """The file of labels cannot be read or used."""


class LinkUnfillable(ConsumerError):
    """A link has a placeholder that is neither a task's id nor a column of the file of labels."""


class BadQuery(ConsumerError):
    """DuckDB refuses a query."""


class DuckdbMissing(ConsumerError):
    """DuckDB, which SQL needs, is not installed."""


class IcebergMissing(ConsumerError):
    """pyiceberg, which a lake of Iceberg tables needs, is not installed."""


class NoSuchRecord(ConsumerError):
    """No record has this offset: it was never written, is no longer there, or is not there yet."""


class DeadLetterUnwritable(ConsumerError):
    """What could not be delivered cannot be kept: the notifier ends, so that its signals are read again."""


class NotProven(ConsumerError):
    """The loaded librdkafka, or a client, is not one whose messages can be read directly; str() says what differs."""


class ProviderUnavailable(ConsumerError):
    """The OpenID Connect provider does not respond, or its response breaks the protocol."""


class SignInRefused(ConsumerError):
    """The OpenID Connect provider refuses a sign-in, its ID token is not valid, or the person has no role here."""
