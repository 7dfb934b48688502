"""Which errors of Kafka are final, and which pass: the only such list of the project. It decides, and asks nothing.

Final: what repeating a request cannot change. That is authentication, authorization, a request that the client or the
broker does not support, and whatever librdkafka calls fatal (the client instance cannot be used any more).

Passing: everything else, for a bounded time. A partition without a leader, a coordinator that moves, a broker that
does not answer and a request that timed out pass by themselves. So does an unknown topic or partition: a broker that
has just started, or that has not heard of a new topic yet, reports it too. Each caller sets the bound.
"""

from __future__ import annotations

from confluent_kafka import KafkaError

UNKNOWN_TOPIC_S = 15.0
"""How long a topic may be unknown before a reader without a bound of its own reports it missing. Metadata of a new
topic reaches every broker within a second or so."""

_FINAL = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,  # a name that no topic can have
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._AUTHENTICATION,  # noqa: SLF001 (librdkafka's public names, here and below)
        KafkaError._INVALID_ARG,  # noqa: SLF001
        KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
    }
)
_UNKNOWN_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)


def is_final(error: KafkaError) -> bool:
    """Whether repeating the request, or reading on, cannot succeed."""
    return is_fatal(error) or error.code() in _FINAL


def is_fatal(error: KafkaError) -> bool:
    """Whether the client that reported it cannot be used any more."""
    return error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001


def is_passing(error: KafkaError) -> bool:
    """Whether repeating the request, or reading on, may succeed."""
    return not is_final(error)


def is_repeatable(error: KafkaError) -> bool:
    """Whether a transactional call that failed with this may be made again as it was.

    librdkafka decides: the error is retriable, and the transaction need not be aborted first.
    """
    return error.retriable() and not error.txn_requires_abort()


def is_unknown_topic(error: KafkaError) -> bool:
    """Whether a topic, or one of its partitions, is unknown to the broker that was asked."""
    return error.code() in _UNKNOWN_TOPIC


def is_unknown_group(error: KafkaError) -> bool:
    """Whether there is no such consumer group."""
    return error.code() == KafkaError.GROUP_ID_NOT_FOUND


def is_group_refused(error: KafkaError) -> bool:
    """Whether this user may not use the consumer's group. A reader that joins no group ignores it.

    librdkafka looks for the coordinator of every consumer's group, and reports once that it may not.
    """
    return error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED


def is_producer_forgotten(error: KafkaError) -> bool:
    """Whether Kafka has forgotten the transactional id: no transaction for transactional.id.expiration.ms."""
    return error.code() == KafkaError.INVALID_PRODUCER_ID_MAPPING


def is_end_of_partition(error: KafkaError) -> bool:
    """Whether a consumer reports the end of a partition, which is no failure."""
    return error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001


def is_offset_gone(error: KafkaError) -> bool:
    """Whether the offset that a consumer would read next is not on the topic, and `auto.offset.reset` is `error`."""
    return error.code() == KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001


def is_unanswered(error: KafkaError) -> bool:
    """Whether no broker has answered: the request timed out, or there is no connection."""
    return error.code() in _UNANSWERED


def is_away(error: KafkaError) -> bool:
    """Whether the broker that has to answer is away for a moment: no answer, or Kafka is electing another one."""
    return error.code() in _AWAY


def is_all_brokers_down(error: KafkaError) -> bool:
    """Whether librdkafka reports only that it has no connection left; the reason is in an error before."""
    return error.code() == KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001


_UNANSWERED = frozenset(
    {
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    }
)
_AWAY = _UNANSWERED | {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.NOT_CONTROLLER,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError._WAIT_COORD,  # noqa: SLF001
    KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
}


class UnknownTopicLimit:
    """Bounds how long a consumer that follows a topic goes on while the topic is unknown.

    librdkafka reports an unknown topic once, and reports nothing when it is known again. So the limit runs from the
    first report, until `end` is called for a record (or an end of a partition) that was read since.
    """

    def __init__(self, limit_s: float = UNKNOWN_TOPIC_S) -> None:
        self._limit_s = limit_s
        self._since_s: float | None = None

    def start(self, now_s: float) -> None:
        """The consumer reported the topic unknown at this time of a monotonic clock, seconds."""
        if self._since_s is None:
            self._since_s = now_s

    def end(self) -> None:
        """The consumer has read from the topic since."""
        self._since_s = None

    def exceeded(self, now_s: float) -> bool:
        """Whether the topic has been unknown for longer than the limit."""
        return self._since_s is not None and now_s - self._since_s > self._limit_s
