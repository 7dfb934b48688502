"""Asks a cluster every few seconds which topics some names stand for, from a thread of its own. It judges nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from confluent_kafka import KafkaException, TopicCollection

from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin, answered
from taskstream.consumer.kafka.admin.topic_identity import TopicIdentity
from taskstream.consumer.kafka.kafka_errors import is_unknown_topic

INTERVAL_S = 3.0
_CALL_S = 5.0
_JOIN_S = 1.0


class TopicWatch:
    """`with TopicWatch(config, names) as watch`: inside, `watch.found` is Kafka's last answer.

    `config` is librdkafka's. The thread is a daemon: a question without an answer does not delay the process's end.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        names: Sequence[str],
        interval_s: float = INTERVAL_S,
        new_admin: Callable[[Mapping[str, Any]], QuietAdmin] = QuietAdmin,
    ) -> None:
        self._config = {name: value for name, value in config.items() if name != "logger"}
        self._names = list(names)
        self._interval_s = interval_s
        self._new_admin = new_admin
        self.found: Mapping[str, TopicIdentity] = {}
        """[name] The topics that exist. The thread replaces it as a whole, when Kafka answers for all names."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="topics", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to ask; further calls do nothing."""
        if not self._thread.is_alive() and not self._stopping.is_set():
            self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        admin = self._new_admin(self._config)
        while not self._stopping.is_set():
            try:
                self.found = topic_identities(admin, self._names, _CALL_S)
            except KafkaException:  # who reads the topics reports that Kafka is away
                admin = self._new_admin(self._config)  # the old one may have lost all brokers, see `broker_watch`
            self._stopping.wait(self._interval_s)


def topic_identities(admin: QuietAdmin, names: Sequence[str], call_s: float) -> dict[str, TopicIdentity]:
    """[name] Those of these topics that exist.

    Raises:
        KafkaException: Kafka did not answer, or does not let this user describe one of them.
    """
    found = {}
    for name, answer in admin.describe_topics(TopicCollection(list(names)), request_timeout=call_s).items():
        try:
            topic = answered(answer, call_s)
        except KafkaException as error:
            if not is_unknown_topic(error.args[0]):
                raise
        else:
            found[name] = TopicIdentity(name, str(topic.topic_id), len(topic.partitions))
    return found
