"""Gives a client its bootstrap brokers back when it has lost all brokers. It asks from a thread of its own.

A Metadata response that names a topic and no broker makes librdkafka forget all brokers, the bootstrap servers too, and
ask nobody any more (https://github.com/confluentinc/librdkafka/issues/5301). Kafka gives such a response while the
controller counts every broker as dead, for example when a single broker did not run for some seconds.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin
from taskstream.consumer.kafka.direct.native_client import handle_of, why_not
from taskstream.schemas.librdkafka.library import librdkafka

_INTERVAL_S = 10.0
_CALL_S = 2.0
_log = structlog.get_logger("kafka")


def add_brokers(client: Consumer, servers: str) -> bool:
    """Let an open client connect to these servers, as to those that it was created with.

    False: nothing was added, because the installed version of the client was not tested.
    """
    if why_not() is not None:
        return False
    librdkafka().call["rd_kafka_brokers_add"](handle_of(client), servers.encode())
    return True


class BrokerWatch:
    """`start` before the client is used, and `stop` before it is closed. `config` is librdkafka's, of new clients."""

    def __init__(
        self,
        client: Consumer,
        topic: str,
        config: Mapping[str, Any],
        new_admin: Callable[[Mapping[str, Any]], QuietAdmin] = QuietAdmin,
        add: Callable[[Consumer, str], bool] = add_brokers,
        interval_s: float = _INTERVAL_S,
    ) -> None:
        self._client = client
        self._topic = topic
        self._config = {name: value for name, value in config.items() if name != "logger"}
        self._new_admin = new_admin
        self._add = add
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="brokers", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; while no broker answers, this waits for up to two timeouts of 2 s."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> None:
        """Add the bootstrap brokers to the client again if it is not answered and a new client is."""
        # Asked again at last: Kafka may have been away, and answer everybody now.
        if (
            self._is_answered(self._client)
            or not self._is_answered(self._new_admin(self._config))
            or self._is_answered(self._client)
        ):
            return
        if self._add(self._client, self._config["bootstrap.servers"]):
            _log.warning("no broker answered this client", topic=self._topic, remedy="bootstrap servers added again")

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self.look()

    def _is_answered(self, client: Consumer | AdminClient) -> bool:
        with contextlib.suppress(KafkaException):
            client.list_topics(self._topic, timeout=_CALL_S)
            return True
        return False
