"""An admin client that keeps what librdkafka complains of to itself, and tells it when a question has failed.

A client whose password is wrong "times out": the reason is in a complaint that came meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

_REMEDIES = {
    KafkaError._AUTHENTICATION: "check the sasl.* settings",  # noqa: SLF001 (a public name)
    KafkaError._SSL: "check the ssl.* settings",  # noqa: SLF001
}
_UNHEARD = frozenset(
    {
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    }
)
"""What a question fails with that no broker has heard."""


class QuietAdmin(AdminClient):
    """`config` is librdkafka's. Hold on to it: an admin client that is let go answers nobody."""

    def __init__(self, config: Mapping[str, Any], **more: Any) -> None:
        self._servers = config.get("bootstrap.servers")
        self._complaint: KafkaError | None = None
        settings: dict[str, Any] = {"log_level": 0, **config, "error_cb": self._hear}
        super().__init__(settings, **more)

    def why(self, error: KafkaException) -> str:
        """What a question failed with, and what to do about it where that is known."""
        return ": ".join(filter(None, self.cause(error)))

    def cause(self, error: KafkaException) -> tuple[str, str]:
        """What a question failed with, and the remedy; where no broker heard it, by the last complaint, else none."""
        reason: KafkaError = error.args[0]
        if reason.code() not in _UNHEARD:
            return str(reason.str()), ""
        self.poll(0)  # lets complaints come
        remedy = f"does Kafka listen at {self._servers}, and with this security.protocol?"
        if self._complaint is None:
            return str(reason.str()), remedy
        return f"{reason.str()} ({self._complaint.str()})", _REMEDIES.get(self._complaint.code(), remedy)

    def _hear(self, complaint: KafkaError) -> None:
        if complaint.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 (it says nothing that the others do not)
            self._complaint = complaint
