"""The other side of the view's API: one answer, a list over all its pages, and the stream for as long as it can be had.

It knows HTTP and the names of the API; it prints nothing and reads no settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as HttpTimeout

from taskstream.compose.errors import ViewRefused, ViewUnreachable, ViewUntrusted
from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.client.endpoint import validated_endpoint

PAGE: Final = 500
QUIET_S: Final = 7.0
"""The view says something every two seconds; a stream that is quiet for so long is lost."""
_ANSWER_S: Final = 15.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10.0
_REMEDIES: Final = {
    401: "; give a token with the role read or operate",
    403: "; `taskstream tokens add` makes a token with the role read or operate",
}


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of the stream: `task`, `left`, `reset` or `beat`."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The stream has ended; it is tried again in so many seconds."""

    reason: str
    wait_s: float


@dataclass(slots=True)
class _StreamPlace:
    """How far a stream was heard: the id that the next connection goes on from."""

    last_id: str | None = None


class ViewClient:
    """Speaks to one view; `with` closes the connections."""

    def __init__(self, endpoint: str, token: AuthToken, *, ca_file: Path | None = None) -> None:
        """`endpoint` is http(s)://host[:port][/prefix]; anything else is a ValueError."""
        self._endpoint = validated_endpoint(endpoint)
        self._token = token
        self._pool = urllib3.PoolManager(num_pools=1, ca_certs=str(ca_file) if ca_file else None, retries=False)

    def task(self, task_id: str, project: str | None = None) -> dict[str, Any]:
        """Everything that is known of a task.

        Raises:
            ViewUnreachable: nobody answered.
            ViewRefused: 404 for a task that is not there, 401 or 403 for the token, 503 for a view that begins.
            TokenUnusable: the token cannot be sent.
        """
        return self._document(f"/tasks/{quote(task_id, safe='')}", {"project": project})

    def fleet(self, wanted: Mapping[str, str | None]) -> dict[str, Any]:
        """The wanted tasks, summed up. Raises as `task`."""
        return self._document("/fleet", wanted)

    def tasks(
        self, wanted: Mapping[str, str | None], sort: str = "health", most: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The wanted tasks, page by page, `most` of them. Raises as `task`."""
        cursor, left = None, most
        while left is None or left > 0:
            limit = PAGE if left is None else min(PAGE, left)
            page = self._document("/tasks", {**wanted, "sort": sort, "limit": str(limit), "cursor": cursor})
            yield from page["tasks"]
            cursor = page["next_cursor"]
            if cursor is None:
                return
            left = None if left is None else left - len(page["tasks"])

    def stream(
        self, wanted: Mapping[str, str | None], pause: Callable[[float], bool], quiet_s: float = QUIET_S
    ) -> Iterator[StreamEvent | StreamLost]:
        """Changes of the wanted tasks as they happen, taken up again after each loss where it broke off.

        `pause` waits so many seconds before another attempt, and says whether to make it. Raises as `task`, for
        what no other attempt can mend.
        """
        place = _StreamPlace()
        failures = 0
        while True:
            reason = "the view has ended the stream"
            try:
                for event in self._events(wanted, place, quiet_s):
                    failures = 0
                    yield event
            except ViewRefused as error:
                if not error.retriable:
                    raise
                reason = str(error)
            except ViewUnreachable as error:
                reason = str(error)
            wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures, 6))
            failures += 1
            yield StreamLost(reason, wait_s)
            if not pause(wait_s):
                return

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _events(self, wanted: Mapping[str, str | None], place: _StreamPlace, quiet_s: float) -> Iterator[StreamEvent]:
        """The events of one connection."""
        headers = {"Last-Event-ID": place.last_id} if place.last_id else {}
        answer = self._asked("/stream", wanted, headers, quiet_s, whole=False)
        kept = b""
        try:
            while piece := answer.read1(1 << 16):
                *blocks, kept = (kept + piece).split(b"\n\n")
                for block in blocks:
                    fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
                    place.last_id = fields.get("id", place.last_id)
                    if "data" in fields:
                        yield StreamEvent(fields.get("event", "message"), json.loads(fields["data"]))
        except (HTTPError, ValueError) as error:
            raise ViewUnreachable(f"the stream of the view at {self._endpoint} broke off") from error
        finally:
            answer.close()

    def _document(self, path: str, query: Mapping[str, str | None]) -> dict[str, Any]:
        answer = self._asked(path, query, {}, _ANSWER_S, whole=True)
        try:
            document = json.loads(answer.data)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ViewRefused(f"{self._endpoint}{path} answers with no JSON object: is this the view?", answer.status)
        return document

    def _asked(
        self, path: str, query: Mapping[str, str | None], headers: Mapping[str, str], read_s: float, *, whole: bool
    ) -> urllib3.BaseHTTPResponse:
        given = urlencode({name: value for name, value in query.items() if value})
        url = f"{self._endpoint}{path}?{given}" if given else self._endpoint + path
        sent = {"X-Auth-Token": self._token.read(), "Accept": "application/json, text/event-stream", **headers}
        timeout = urllib3.Timeout(connect=3.0, read=read_s)
        try:
            answer = self._pool.request("GET", url, headers=sent, timeout=timeout, preload_content=whole)
            if answer.status != 200:
                told = answer.data
        except HTTPError as error:
            kind = ViewUntrusted if isinstance(error, SSLError) else ViewUnreachable
            raise kind(f"the view at {self._endpoint} {_why(error)}") from error
        if answer.status != 200:
            raise ViewRefused(f"the view at {self._endpoint} {_refusal(answer.status, told)}", answer.status)
        return answer


def _why(error: HTTPError) -> str:
    if isinstance(error, NameResolutionError):
        return "cannot be found: is the name right?"
    if isinstance(error, NewConnectionError):  # before the timeouts: urllib3 counts it among them
        return "cannot be reached: is it running at this address?"
    if isinstance(error, HttpTimeout):
        return "did not answer in time"
    if isinstance(error, SSLError):
        return f"has a certificate that is not trusted ({error})"
    return f"broke off: {error}"


def _refusal(status: int, body: bytes) -> str:
    try:
        said = str(json.loads(body)["error_msg"])
    except (ValueError, KeyError, TypeError):
        said = "nothing that the view would say: is this the view?"
    return f"answers {status}: {said}{_REMEDIES.get(status, '')}"
