"""Sends one notification to one receiver over HTTP, once. It knows the requests of both kinds of receiver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import urllib3
from urllib3.exceptions import HTTPError

from taskstream.consumer.notify.alertmanager import PATH, alertmanager_body
from taskstream.consumer.notify.outbox import Notification
from taskstream.consumer.notify.settings import NotifySettings, Receiver, ReceiverType
from taskstream.consumer.notify.webhook import DELIVERY_HEADER, delivery_id, signed_headers, webhook_body

_JUDGES_THE_BODY = frozenset({400, 413, 415, 422})
"""The statuses that another attempt with the same body does not change. A wrong address or token can be corrected."""
_SHOWN_BYTES = 300


class Answer(Enum):
    """What became of one attempt."""

    ACCEPTED = auto()
    MAY_PASS = auto()
    """There was no response, or one that another attempt may change."""
    REFUSED = auto()
    """The receiver does not want this notification."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt, and why."""

    answer: Answer
    why: str = ""
    pause_s: float | None = None
    """What the receiver asked for (Retry-After)."""


class ReceiverClient:
    """Sends to one receiver, from one thread at a time. `clock`: seconds since 1970."""

    def __init__(self, receiver: Receiver, settings: NotifySettings, clock: Callable[[], float]) -> None:
        self._receiver = receiver
        self._settings = settings
        self._clock = clock
        self._http = urllib3.PoolManager(
            timeout=receiver.timeout_s, retries=False, cert_reqs="CERT_REQUIRED", ca_certs=receiver.ca_file
        )

    def send(self, notification: Notification) -> Outcome:
        """One attempt. Whatever fails is in the outcome."""
        url, body, headers = self.request(notification)
        try:
            response = self._http.request("POST", url, body=body, headers=headers, preload_content=False)
        except (HTTPError, OSError) as error:
            return Outcome(Answer.MAY_PASS, f"no response: {type(error).__name__}")
        return self._judged(response)

    def request(self, notification: Notification) -> tuple[str, bytes, dict[str, str]]:
        """Address, body and headers."""
        receiver, now_s = self._receiver, self._clock()
        headers = {"Content-Type": "application/json", "User-Agent": "taskstream-notify"}
        if receiver.token is not None:
            headers["Authorization"] = f"Bearer {receiver.token}"
        if receiver.type is ReceiverType.ALERTMANAGER:
            return (
                receiver.url.rstrip("/") + PATH,
                alertmanager_body(notification, receiver, self._settings, now_s),
                headers,
            )
        body = webhook_body(notification, receiver.template, self._settings)
        headers[DELIVERY_HEADER] = delivery_id(notification)
        if receiver.secret is not None:
            headers |= signed_headers(receiver.secret, body, now_s)
        return receiver.url, body, headers

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    def _judged(self, response: urllib3.BaseHTTPResponse) -> Outcome:
        try:
            if 200 <= response.status < 300:
                return Outcome(Answer.ACCEPTED)
            try:
                words = response.read(_SHOWN_BYTES).decode("utf-8", "replace")
            except (HTTPError, OSError):
                words = ""
        finally:
            response.close()
        why = f"status {response.status}: {words}" if words else f"status {response.status}"
        if response.status in _JUDGES_THE_BODY:
            return Outcome(Answer.REFUSED, why)
        pause = response.headers.get("Retry-After", "")
        return Outcome(Answer.MAY_PASS, why, float(pause) if pause.isascii() and pause.isdigit() else None)
