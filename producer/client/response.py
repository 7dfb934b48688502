"""What a server of the API answered, and which error of this room it amounts to. It sends nothing."""

import json
from dataclasses import dataclass
from typing import Any

from taskstream.producer.errors import CallerRefused, EdgeUnavailable, RequestRefused


@dataclass(frozen=True, slots=True)
class ClientResponse:
    """One answer: its status, body, and the two headers that matter."""

    status: int
    body: bytes
    request_id: str
    retry_after: str | None

    def json_object(self) -> dict[str, Any] | None:
        """The body, if it is a JSON object."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def words(self, token: str) -> tuple[str, str]:
        """The API's error_code and error_msg without the token; empty where the answer has none."""
        said = self.json_object() or {}
        return without(token, str(said.get("error_code", ""))), without(token, str(said.get("error_msg", "")))


def refusal(what: str, answer: ClientResponse, *, attempts: int, token: str) -> RequestRefused:
    """The error for an answer that is final; `what` is the method and address."""
    code, message = answer.words(token)
    kind = CallerRefused if answer.status in {401, 403} else RequestRefused
    return kind(
        f"{what}: refused with {_described(answer, code, message)}",
        attempts=attempts,
        status=answer.status,
        error_code=code,
        error_msg=message,
        request_id=answer.request_id,
    )


def exhaustion(
    what: str, last: ClientResponse | Exception, *, attempts: int, waited_s: float, asked_s: float | None, token: str
) -> EdgeUnavailable:
    """The error for a deadline that passed; `last` is the last answer, or why there was none."""
    said = f"{what}: no final answer after {attempts} attempt{'s' * (attempts > 1)} in {waited_s:.1f} s"
    if isinstance(last, Exception):
        return EdgeUnavailable(f"{said}; at last {plain(last, token)}", attempts=attempts)
    code, message = last.words(token)
    asked = "" if asked_s is None else f"; it asks to be left alone for {asked_s:.0f} s"
    return EdgeUnavailable(
        f"{said}; at last {_described(last, code, message)}{asked}",
        attempts=attempts,
        status=last.status,
        error_code=code,
        error_msg=message,
        request_id=last.request_id,
        retry_after_s=asked_s,
    )


def plain(error: Exception, token: str) -> str:
    """The error in one line, without the token and without object addresses."""
    # urllib3 puts the connection object before some messages: "<...HTTPConnection object at 0x...>: text".
    text = str(error).rpartition("object at 0x")[2].partition(": ")[2] or str(error)
    return without(token, f"{type(error).__name__}: {text}")


def without(token: str, text: str) -> str:
    """The text with the token blotted out: a server may say it back."""
    return text.replace(token, "***")


def _described(answer: ClientResponse, code: str, message: str) -> str:
    request = f" (request {answer.request_id})" if answer.request_id else ""
    return " ".join(part for part in (str(answer.status), code, message) if part) + request
