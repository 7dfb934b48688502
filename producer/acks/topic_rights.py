"""Asks Kafka whether the topic of the reports exists and may be written to. It writes nothing to it.

The probe topic proves neither: it is another topic, with rights of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from taskstream.schemas.kafka_rights import denied

ASK_TIMEOUT_S: Final = 3.0
_REFUSED: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})


class AdminHolder(Protocol):
    """Has the admin client to ask with, or None while there is none yet."""

    admin: AdminClient | None


class TopicRights:
    """Whether `topic` can be written to, asked with the client of `holder`. `config`, librdkafka's, names the user."""

    def __init__(self, config: Mapping[str, Any], topic: str, holder: AdminHolder) -> None:
        self._config = config
        self._topic = topic
        self._holder = holder

    async def problem(self) -> str | None:
        """Why no report can be written to the topic; None if nothing is wrong or Kafka does not answer."""
        return await asyncio.get_running_loop().run_in_executor(None, self._ask)

    def _ask(self) -> str | None:
        admin = self._holder.admin
        if admin is None:
            return None
        try:
            answers = admin.describe_topics(
                TopicCollection([self._topic]),
                include_authorized_operations=True,
                request_timeout=ASK_TIMEOUT_S,
            )
            allowed = answers[self._topic].result(2 * ASK_TIMEOUT_S).authorized_operations
        except KafkaException as error:
            return self._meaning(error.args[0].code())
        except TimeoutError:
            return None
        # brokers before Kafka 2.3 do not tell the operations
        return self._no_right() if allowed and AclOperation.WRITE not in allowed else None

    def _meaning(self, code: int) -> str | None:
        if code == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return f"the topic {self._topic} does not exist; `taskstream topics create` creates it"
        return self._no_right() if code in _REFUSED else None

    def _no_right(self) -> str:
        return denied(self._config, "Write", "topic", self._topic)
