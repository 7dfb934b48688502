"""An admin client that logs nothing, and keeps librdkafka's last error to explain why a request failed.

A request with a wrong password times out: the reason is in an error that librdkafka reported meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from taskstream.consumer.kafka.kafka_errors import is_all_brokers_down, is_unanswered

T = TypeVar("T")
_REMEDIES = {
    KafkaError._AUTHENTICATION: "check the sasl.* settings",  # noqa: SLF001 (a public name)
    KafkaError._SSL: "check the ssl.* settings",  # noqa: SLF001
}


_GRACE_S = 5.0
"""How much longer than a request may take its answer is waited for: librdkafka itself ends a request in time."""


def answered(answer: Future[T], call_s: float) -> T:
    """The answer to a request whose timeout is `call_s`.

    Raises:
        KafkaException: the request failed; or the client did not say how it ended, which counts as a timeout.
    """
    try:
        return answer.result(call_s + _GRACE_S)
    except TimeoutError as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the client gave no answer")) from error  # noqa: SLF001


class QuietAdmin(AdminClient):
    """`config` is librdkafka's. Keep a reference until the answer is there: without one the request is lost."""

    def __init__(self, config: Mapping[str, Any], **more: Any) -> None:
        self._servers = config.get("bootstrap.servers")
        self._last_error: KafkaError | None = None
        backoff = {"reconnect.backoff.ms": 250, "reconnect.backoff.max.ms": 1_000}
        settings: dict[str, Any] = {"log_level": 0, **backoff, **config, "error_cb": self._on_error}
        super().__init__(settings, **more)

    def why(self, error: KafkaException) -> str:
        """Why a request failed, and what to do about it where that is known."""
        return ": ".join(filter(None, self.cause(error)))

    def cause(self, error: KafkaException) -> tuple[str, str]:
        """Why a request failed, and the remedy: by librdkafka's last error where no broker answered, else none."""
        reason: KafkaError = error.args[0]
        if not is_unanswered(reason):
            return str(reason.str()), ""
        self.poll(0)  # calls `_on_error`
        remedy = f"does Kafka listen at {self._servers}, and with this security.protocol?"
        if self._last_error is None:
            return str(reason.str()), remedy
        return f"{reason.str()} ({self._last_error.str()})", _REMEDIES.get(self._last_error.code(), remedy)

    def _on_error(self, error: KafkaError) -> None:
        if not is_all_brokers_down(error):
            self._last_error = error
