"""One event stream from its request to its end: it ends when the client disconnects or stops reading."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from taskstream.consumer.view.http.query_parameters import query_parameters
from taskstream.consumer.view.http.sse_events import RenderedTasks, events
from taskstream.consumer.view.read_model.change_feed import ChangeFeed
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_list import FILTERS, SEVERAL, parse_filter
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.schemas.http.api_error import THROTTLED, UNAVAILABLE, ApiError
from taskstream.schemas.http.asgi import Receive, Send
from taskstream.schemas.http.caller import Caller
from taskstream.schemas.http.request import HttpRequest

PARAMETERS: Final = FILTERS | {"last_event_id"}
MOST_LISTENERS: Final = 200
PER_PROJECT: Final = MOST_LISTENERS // 4
"""How many of them one project may open: its streams leave room for those of others."""
RETRY_AFTER_S: Final = 5
SEND_TIMEOUT_S: Final = 20.0


class SseResponse:
    """The response to GET /stream."""

    def __init__(
        self,
        model: ReadModel,
        names: TaskNames,
        feed: ChangeFeed,
        state: Callable[[], dict[str, Any]],
        now_us: Callable[[], int],
        send_timeout_s: float = SEND_TIMEOUT_S,
        per_project: int = PER_PROJECT,
        is_current: Callable[[], bool] = lambda: True,
    ) -> None:
        """`per_project`: how many streams callers of one project may have open; anonymous ones, those of an address.

        `is_current`: whether the model can be shown. A stream is opened before that too: a browser's EventSource ends
        for good at any status but 200, so it would not survive a restart of the view.
        """
        self._is_current = is_current
        self._per_project = per_project
        self._open: Counter[str] = Counter()
        """[project or address] its open streams."""
        self._rendered = RenderedTasks(model, now_us)
        self._model = model
        self._names = names
        self._feed = feed
        self._state = state
        self._now_us = now_us
        self._send_timeout_s = send_timeout_s

    async def run(self, request: HttpRequest, caller: Caller, receive: Receive, send: Send, address: str = "") -> None:
        """Write events until the client at `address` disconnects or stops reading, or the view ends.

        Raises:
            ApiError: a parameter is invalid, or too many streams are open, of all or of this caller's project; nothing
                was sent then.
        """
        parameters = query_parameters(request, PARAMETERS, several=SEVERAL)
        wanted = parse_filter(parameters, caller)
        given = request.headers.get("last-event-id") or parameters.get("last_event_id")
        since = self._feed.version_of(given, self._model.version)
        owner = f"address {address}" if caller.anonymous else f"project {caller.project_id!r}"
        self._require_room(owner)
        self._feed.listeners += 1
        self._open[owner] += 1
        disconnected = asyncio.create_task(_disconnected(receive))
        parts = events(
            self._model,
            self._names,
            self._feed,
            wanted,
            since,
            self._state,
            self._now_us,
            self._rendered,
            self._is_current,
        )
        writing = asyncio.create_task(self._write(request, parts, send))
        try:
            await asyncio.wait({disconnected, writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._feed.listeners -= 1
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]
            for task in (disconnected, writing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def _require_room(self, owner: str) -> None:
        if self._open[owner] >= self._per_project:
            detail = f"{owner} has {self._per_project} streams open already, as many as it may: close one"
            raise ApiError(THROTTLED, detail, retry_after_s=RETRY_AFTER_S)
        if self._feed.listeners >= MOST_LISTENERS:
            raise ApiError(UNAVAILABLE, f"{MOST_LISTENERS} streams are open already", retry_after_s=RETRY_AFTER_S)

    async def _write(self, request: HttpRequest, parts: Any, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store, no-transform"),
            (b"x-accel-buffering", b"no"),
            (b"x-request-id", request.request_id.encode()),
        ]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for part in parts:
                async with asyncio.timeout(self._send_timeout_s):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        except TimeoutError:
            self._feed.cut += 1
        else:
            await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
