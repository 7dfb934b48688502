"""What to type about an error: the only place where a message of the library meets the command line's options.

To add a remedy, raise an error class of its own where the error occurs, and add the class to `REMEDIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from taskstream.compose.errors import (
    BrokerCountDiffers,
    KafkaInstallError,
    ListenAddressUnusable,
    MissingProgramError,
    NoBrokersNamed,
    NoCredentialsConfigured,
    RegistryInstallError,
    StackPortTaken,
    TopicsDiffer,
    ViewUnreachable,
    ViewUntrusted,
)
from taskstream.consumer.errors import (
    ArchiveExists,
    CommittedOffsetGone,
    CopyOntoItself,
    DuckdbMissing,
    ExportExists,
    ExportFormatUnknown,
    IcebergMissing,
    InstanceFenced,
    LakeGap,
    NoSuchRecord,
    OffsetsGone,
    OffsetsMoved,
    PartialExportUnusable,
    PartitionCountsDiffer,
    PartitionsAdded,
    PartitionsUnequal,
    RebuildEventsGone,
    RecordsExpired,
    RightMissing,
    StateUnreadable,
    TooManyRejected,
    TopicMisconfigured,
    TopicRecreated,
    TopicsMissing,
)
from taskstream.schemas.topics import Difference, DifferenceKind

_OWN_KAFKA = "--bootstrap-servers HOST:PORT names it"
_NEW_TOPICS = "start with a new --prefix, with equal numbers of partitions, and rebuild the state there"
_REBUILD = (
    "stop all workers and run `taskstream replay rebuild --until latest --execute`, which writes state and offsets "
    "that agree"
)
_NEW_PREFIX = (
    "create topics under a new --prefix, copy the reports there with `taskstream replay copy --by-key --execute "
    "--to-topic PREFIX.progress`, and start edges, workers and views with that --prefix"
)


def _recreated(error: TopicRecreated) -> str:
    if error.topic.endswith(".state"):
        return "stop all workers and run `taskstream replay rebuild --execute`"
    state = error.topic.removesuffix(".progress") + ".state"
    return (
        f"to begin anew, stop all workers, delete {state} and the workers' group, and run `taskstream topics create`; "
        "or start with a new --prefix"
    )


def _reset_offsets(error: CommittedOffsetGone) -> str:
    """Here no rebuild helps: it would need the events that are gone."""
    topic = f"{error.topic}:{error.partition}"
    return (
        f"to continue without them, stop all workers, run `kafka-consumer-groups --group {error.group} "
        f"--reset-offsets --to-earliest --topic {topic} --execute --bootstrap-server HOST:PORT`, and raise retention.ms"
    )


def _port_option(error: StackPortTaken) -> str:
    return f"choose another one with --{error.process.replace(' ', '-')}-port (0: a free one)"


def _topics_differ(error: TopicsDiffer) -> str:
    return "; ".join(dict.fromkeys(map(difference_remedy, error.differences)))


REMEDIES: Mapping[type[Exception], str | Callable[[Any], str]] = {
    BrokerCountDiffers: lambda error: f"give --brokers {error.brokers}, or another --data-dir",
    ArchiveExists: "choose another FILE, or replace it with --overwrite",
    CommittedOffsetGone: _reset_offsets,
    CopyOntoItself: "choose another topic with --to-topic, or another cluster with --to-bootstrap",
    DuckdbMissing: "`pip install 'taskstream[sql]'` installs it",
    ExportExists: "choose another FILE, or replace it with --overwrite",
    ExportFormatUnknown: "for standard output use `taskstream tail --from earliest --to latest -o ndjson`, or "
    "`taskstream sql -o csv` (also json and parquet)",
    IcebergMissing: "`pip install 'taskstream[iceberg]'` installs it",
    InstanceFenced: "give each worker its own --instance",
    KafkaInstallError: _OWN_KAFKA,
    ListenAddressUnusable: "choose another --port (0: a free one) or --host",
    LakeGap: "go on without them with --skip-gone",
    MissingProgramError: _OWN_KAFKA,
    NoBrokersNamed: "give --bootstrap-servers HOST:PORT",
    NoCredentialsConfigured: "give --tokens, --keys or --keystone",
    NoSuchRecord: "`taskstream rejected list --each` lists the records",
    OffsetsGone: f"give the right --group, or {_REBUILD}",
    OffsetsMoved: _REBUILD,
    PartialExportUnusable: "repeat the command of the partial export, or discard it with --restart",
    RecordsExpired: "raise retention.ms of the topic first, or write them all the same with --expired",
    PartitionCountsDiffer: "or send each record to the partition of its key with --by-key",
    PartitionsAdded: _NEW_PREFIX,
    PartitionsUnequal: _NEW_TOPICS,
    RebuildEventsGone: "keep the group's offsets with --until committed",
    RightMissing: "`kafka-acls --add` grants it",
    RegistryInstallError: "leave out --registry, or name a registry of your own with TASKSTREAM_SCHEMA_REGISTRY",
    StackPortTaken: _port_option,
    StateUnreadable: "--prefix names the topics",
    TooManyRejected: "correct the deployment and start again, or send all unreadable records to the rejected topic "
    "with --reject-share 1",
    TopicMisconfigured: lambda error: difference_remedy(error.difference),
    TopicRecreated: _recreated,
    TopicsDiffer: _topics_differ,
    TopicsMissing: lambda error: f"run `taskstream topics create --prefix {error.prefix}`",
    ViewUnreachable: "--endpoint URL names the view",
    ViewUntrusted: "name its certificate authority with --ca-file",
}
"""By class of the error, or of one that it derives from: the remedy, or the function of the error that gives it."""

_CONNECTION = "--bootstrap-servers names the brokers; -X or --kafka-config sets security.protocol, sasl.* and ssl.*"
KAFKA_REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(
        ("_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_AUTHENTICATION", "_SSL"), _CONNECTION
    ),
    "SASL_AUTHENTICATION_FAILED": _CONNECTION,
    "INVALID_REPLICATION_FACTOR": "choose a smaller --replication-factor, or start the brokers that are down",
    "TOPIC_EXCEPTION": "choose another --prefix",
}
"""By librdkafka's name of the error code, for an error that a Kafka client's error caused."""


def remedy_of(error: BaseException) -> str:
    """What to type about `error`, or an empty string."""
    for each in type(error).__mro__:
        if each in REMEDIES:
            remedy = REMEDIES[each]
            return remedy if isinstance(remedy, str) else remedy(error)
    return _kafka_remedy(error.__cause__)


def message_of(error: BaseException) -> str:
    """The error's own sentence, and what to type."""
    message, remedy = str(error), remedy_of(error)
    if not remedy:
        return message
    return f"{message}{'' if message.endswith(('.', '?')) else ';'} {remedy}"


def difference_remedy(difference: Difference) -> str:
    """What to type about a topic that is not as declared."""
    match difference.kind:
        case DifferenceKind.MISSING:
            return "run `taskstream topics create`"
        case DifferenceKind.PARTITIONS:
            return (
                f"give --partitions {difference.found}; the number of partitions is permanent, and another number "
                "requires a new --prefix"
            )
        case DifferenceKind.SETTING:
            setting = f"{difference.setting}={difference.declared}"
            alter = f"kafka-configs --bootstrap-server HOST:PORT --alter --topic {difference.topic}"
            return f"run `{alter} --add-config {setting}`"
        case DifferenceKind.UNEQUAL:
            return f"the state of a series must be in the partition of its events: {_NEW_TOPICS}"
        case DifferenceKind.REPLICAS:
            return (
                f"add replicas with kafka-reassign-partitions, or create topics under a new --prefix with "
                f"--replication-factor {difference.declared}"
            )
        case DifferenceKind.IN_SYNC:
            return "start the brokers that are down; if all are up, wait until they have caught up"


def _kafka_remedy(cause: BaseException | None) -> str:
    if cause is None:
        return ""
    from confluent_kafka import KafkaException  # noqa: PLC0415 (slow to load, and needed for a few errors alone)

    return KAFKA_REMEDIES.get(cause.args[0].name(), "") if isinstance(cause, KafkaException) else ""
