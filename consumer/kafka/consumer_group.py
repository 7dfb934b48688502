"""The workers' group as Kafka knows it: how far it has come, and who is in it. It asks, and joins nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from confluent_kafka import Consumer, ConsumerGroupState, KafkaError, KafkaException, TopicPartition

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.quiet_admin import QuietAdmin
from taskstream.consumer.kafka.retry import with_retry

_CALL_S = 15.0
_GONE = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


class ConsumerGroup:
    """`with Group(config, name) as group: group.committed(...)`."""

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self._config = {"log_level": 0, **config, "group.id": name}
        self.name = name

    def __enter__(self) -> Self:
        # read_committed: an offset whose transaction is not decided yet is waited for, and never told
        fixed = {"enable.auto.commit": False, "isolation.level": "read_committed"}
        self.consumer = Consumer(self._config | fixed)
        return self

    def __exit__(self, *_: object) -> None:
        self.consumer.close()

    def committed(self, topic: str, partitions: Sequence[int]) -> dict[int, int | None]:
        """How far each partition is folded; None where nothing was ever committed.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        asked = [TopicPartition(topic, each) for each in partitions]
        places = with_retry(
            f"the offsets of group {self.name} cannot be asked",
            lambda: self.consumer.committed(asked, timeout=_CALL_S),
        )
        for place in places:
            if place.error is not None:
                raise KafkaFailed(f"the offset of {self.name} on {topic}-{place.partition}: {place.error.str()}")
        return {place.partition: place.offset if place.offset >= 0 else None for place in places}

    def members(self) -> list[str]:
        """Who is in the group, by instance or client and host; also who died and whose session is not over yet.

        Raises:
            KafkaFailed: Kafka did not answer.
        """
        admin = QuietAdmin({name: value for name, value in self._config.items() if name != "group.id"})

        def described() -> Any:
            return admin.describe_consumer_groups([self.name], request_timeout=_CALL_S)[self.name].result()

        try:
            found = with_retry(f"group {self.name} cannot be described", described, why=admin.why)
        except KafkaFailed as error:
            cause = error.__cause__
            if isinstance(cause, KafkaException) and cause.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return []
            raise
        members = [f"{each.group_instance_id or each.client_id} at {each.host}" for each in found.members]
        if not members and found.state not in _GONE:
            return [f"somebody who is joining (the group is {found.state.name})"]
        return members
