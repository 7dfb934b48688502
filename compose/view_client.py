"""A client of the view's API: single documents, lists over all pages, and the event stream with reconnects.

It knows HTTP and the paths and fields of the API. It prints nothing and reads no settings.
"""

from __future__ import annotations

import json
import time
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

PAGE_SIZE: Final = 500
STREAM_TIMEOUT_S: Final = 7.0
"""The view sends an event at least every two seconds; a stream without data for this long counts as lost."""
_READ_TIMEOUT_S: Final = 15.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10.0
_REMEDIES: Final = {
    401: "; give a token with the role read or operate",
    403: "; `taskstream tokens add` creates a token with the role read or operate",
}


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of the stream: `task`, `left`, `reset` or `beat`."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The stream has ended; the client reconnects after `wait_s` seconds."""

    reason: str
    wait_s: float


@dataclass(slots=True)
class _StreamPosition:
    """The id of the last event, from which the next connection resumes (Last-Event-ID)."""

    last_id: str | None = None


class ViewClient:
    """A client of one view; `with` closes its connections."""

    def __init__(
        self,
        endpoint: str,
        token: AuthToken,
        *,
        ca_file: Path | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`endpoint` is http(s)://host[:port][/prefix]; `clock_ms`: this machine's clock, milliseconds since 1970.

        Raises:
            ValueError: the endpoint has another form.
        """
        self._endpoint = validated_endpoint(endpoint)
        self._token = token
        self._clock_ms = clock_ms
        self._ahead_ms = 0
        self._pool = urllib3.PoolManager(num_pools=1, ca_certs=str(ca_file) if ca_file else None, retries=False)

    def task(self, task_id: str, project: str | None = None) -> dict[str, Any]:
        """The task with its subtasks, as the JSON object of the API.

        Raises:
            ViewUnreachable: no response, or not in time.
            ViewRefused: 404 for an unknown task, 401 or 403 for the token, 503 for a view that is starting.
            TokenUnusable: the token is not usable as a header.
        """
        return self._document(f"/tasks/{quote(task_id, safe='', errors='surrogateescape')}", {"project": project})

    def rates(self, task_id: str, project: str | None, since: str, step: str | None = None) -> dict[str, Any]:
        """The task's rates from `since` (a time, or a duration before now) until now. Raises as `task`."""
        path = f"/tasks/{quote(task_id, safe='', errors='surrogateescape')}/rates"
        return self._document(path, {"project": project, "from": since, "step": step})

    def note(self, task_id: str, project: str | None, note: Mapping[str, Any] | None) -> dict[str, Any]:
        """Make a note of a task: `kind`, `note`, `until_ms` and perhaps `by`; None withdraws it. Raises as `task`."""
        path = f"/tasks/{quote(task_id, safe='', errors='surrogateescape')}/note"
        body = None if note is None else json.dumps(note).encode()
        response = self._request("DELETE" if body is None else "PUT", path, {"project": project}, body)
        return self._json_object(path, response)

    def fleet(self, filters: Mapping[str, str | None]) -> dict[str, Any]:
        """The totals of the tasks that match the filters (query parameters of the API). Raises as `task`."""
        return self._document("/fleet", filters)

    def report(self, project: str | None, by: str | None) -> dict[str, Any]:
        """The report of GET /report. by: as that takes it; None: the next morning. Raises as `task`."""
        return self._document("/report", {"project": project, "by": by})

    def calibration(self, project: str | None) -> list[dict[str, Any]]:
        """How often past intervals of an end held, by project and subtask. Raises ViewError."""
        found: list[dict[str, Any]] = self._document("/calibration", {"project": project})["intervals"]
        return found

    def slowdowns(self, project: str | None) -> list[dict[str, Any]]:
        """Tasks that slowed down together, the newest first. Raises ViewError."""
        found: list[dict[str, Any]] = self._document("/slowdowns", {"project": project})["slowdowns"]
        return found

    def tasks(
        self, filters: Mapping[str, str | None], sort: str = "health", limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The tasks that match the filters, at most `limit`, fetched page by page. Raises as `task`."""
        cursor, left = None, limit
        while left is None or left > 0:
            size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)
            page = self._document("/tasks", {**filters, "sort": sort, "limit": str(size), "cursor": cursor})
            yield from page["tasks"]
            cursor = page["next_cursor"]
            if cursor is None:
                return
            left = None if left is None else left - len(page["tasks"])

    def stream(
        self, filters: Mapping[str, str | None], pause: Callable[[float], bool], timeout_s: float = STREAM_TIMEOUT_S
    ) -> Iterator[StreamEvent | StreamLost]:
        """The changes of the tasks that match the filters. A lost stream is reported and resumed where it broke off.

        `pause` waits the given seconds before a reconnect, and returns False to end the iteration. Raises as `task`,
        for errors that a retry cannot correct.
        """
        position = _StreamPosition()
        failures = 0
        while True:
            reason = "the view ended the stream"
            try:
                for event in self._events(filters, position, timeout_s):
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

    def now_ms(self) -> int:
        """The time by the view's clock, as of its last response; ages are right even if this machine's clock is not."""
        return self._clock_ms() + self._ahead_ms

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _events(
        self, filters: Mapping[str, str | None], position: _StreamPosition, timeout_s: float
    ) -> Iterator[StreamEvent]:
        """The events of one connection."""
        headers = {"Last-Event-ID": position.last_id} if position.last_id else {}
        response = self._get("/stream", filters, headers, timeout_s, preload=False)
        rest = b""
        try:
            while chunk := response.read1(1 << 16):
                *blocks, rest = (rest + chunk).split(b"\n\n")
                for block in blocks:
                    fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
                    position.last_id = fields.get("id", position.last_id)
                    if "data" in fields:
                        yield StreamEvent(fields.get("event", "message"), json.loads(fields["data"]))
        except (HTTPError, ValueError) as error:
            raise ViewUnreachable(f"the stream of the view at {self._endpoint} broke off") from error
        finally:
            response.close()

    def _document(self, path: str, query: Mapping[str, str | None]) -> dict[str, Any]:
        return self._json_object(path, self._get(path, query, {}, _READ_TIMEOUT_S, preload=True))

    def _json_object(self, path: str, response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        try:
            document = json.loads(response.data)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            what = f"{self._endpoint}{path} does not answer with a JSON object: is this the view?"
            raise ViewRefused(what, response.status)
        if isinstance(document.get("now_ms"), int):
            self._ahead_ms = document["now_ms"] - self._clock_ms()
        return document

    def _get(
        self, path: str, query: Mapping[str, str | None], headers: Mapping[str, str], read_s: float, *, preload: bool
    ) -> urllib3.BaseHTTPResponse:
        """A response with the status 200; `preload` reads its body at once."""
        return self._request("GET", path, query, None, headers, read_s, preload=preload)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | None],
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
        read_s: float = _READ_TIMEOUT_S,
        *,
        preload: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        present = {name: value for name, value in query.items() if value}
        encoded = urlencode(present, errors="surrogateescape")  # as a locale of seven bits hands over arguments
        url = f"{self._endpoint}{path}?{encoded}" if encoded else self._endpoint + path
        sent = {"X-Auth-Token": self._token.read(), "Accept": "application/json, text/event-stream", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        timeout = urllib3.Timeout(connect=3.0, read=read_s)
        try:
            response = self._pool.request(
                method, url, body=body, headers=sent, timeout=timeout, preload_content=preload
            )
            if response.status != 200:
                refusal = response.data
        except HTTPError as error:
            kind = ViewUntrusted if isinstance(error, SSLError) else ViewUnreachable
            raise kind(f"the view at {self._endpoint} {_failure(error)}") from error
        if response.status != 200:
            raise ViewRefused(f"the view at {self._endpoint} {_refusal(response.status, refusal)}", response.status)
        return response


def _failure(error: HTTPError) -> str:
    if isinstance(error, NameResolutionError):
        return "cannot be found: is the name right?"
    if isinstance(error, NewConnectionError):  # tested before HttpTimeout, of which urllib3 makes it a subclass
        return "cannot be reached: is it running at this address?"
    if isinstance(error, HttpTimeout):
        return "did not answer in time"
    if isinstance(error, SSLError):
        return f"has a certificate that is not trusted ({error})"
    return f"broke off: {error}"


def _refusal(status: int, body: bytes) -> str:
    try:
        message = str(json.loads(body)["error_msg"])
    except (ValueError, KeyError, TypeError):
        message = "a body that is not an API error: is this the view?"
    return f"answers {status}: {message}{_REMEDIES.get(status, '')}"
