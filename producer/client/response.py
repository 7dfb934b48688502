"""A response of the API, and the conversion of responses and exceptions to this room's errors. It sends nothing."""

import json
from dataclasses import dataclass
from typing import Any

from taskstream.producer.errors import CallerRefused, EdgeUnavailable, RequestRefused


@dataclass(frozen=True, slots=True)
class ClientResponse:
    """One response: its status, body, and the headers X-Request-Id ("" if absent) and Retry-After."""

    status: int
    body: bytes
    request_id: str
    retry_after: str | None

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object; None if it is anything else."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def error_fields(self, token: str) -> tuple[str, str]:
        """The API's error_code and error_msg, with the token redacted; "" if the body has none."""
        body = self.json_object() or {}
        return redacted(token, str(body.get("error_code", ""))), redacted(token, str(body.get("error_msg", "")))


def refused_error(what: str, response: ClientResponse, *, attempts: int, token: str) -> RequestRefused:
    """The error for a final response; `what` is the method and URL."""
    code, message = response.error_fields(token)
    kind = CallerRefused if response.status in {401, 403} else RequestRefused
    return kind(
        f"{what}: refused with {_description(response, code, message)}",
        attempts=attempts,
        status=response.status,
        error_code=code,
        error_msg=message,
        request_id=response.request_id,
    )


def unavailable_error(
    what: str,
    last: ClientResponse | Exception,
    *,
    attempts: int,
    waited_s: float,
    retry_after_s: float | None,
    token: str,
) -> EdgeUnavailable:
    """The error for a passed deadline; `last` is the last response, or the exception of the last attempt."""
    summary = f"{what}: no final response after {attempts} attempt{'s' * (attempts > 1)} in {waited_s:.1f} s"
    if isinstance(last, Exception):
        return EdgeUnavailable(f"{summary}; the last error: {describe_error(last, token)}", attempts=attempts)
    code, message = last.error_fields(token)
    wait = "" if retry_after_s is None else f"; it asks for no retry within {retry_after_s:.0f} s"
    return EdgeUnavailable(
        f"{summary}; the last response: {_description(last, code, message)}{wait}",
        attempts=attempts,
        status=last.status,
        error_code=code,
        error_msg=message,
        request_id=last.request_id,
        retry_after_s=retry_after_s,
    )


def describe_error(error: Exception, token: str) -> str:
    """The error's type and message, without object addresses and with the token redacted."""
    # urllib3 puts the connection object before some messages: "<...HTTPConnection object at 0x...>: text".
    text = str(error).rpartition("object at 0x")[2].partition(": ")[2] or str(error)
    return redacted(token, f"{type(error).__name__}: {text}")


def redacted(token: str, text: str) -> str:
    """The text with *** in place of the token: a server may echo it."""
    return text.replace(token, "***")


def _description(response: ClientResponse, code: str, message: str) -> str:
    request = f" (request {response.request_id})" if response.request_id else ""
    return " ".join(part for part in (str(response.status), code, message) if part) + request
