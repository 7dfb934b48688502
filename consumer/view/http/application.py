"""The view as a plain ASGI application: which request goes where, and what is done from its start to its end.

It knows no server and reads no settings; what it is made of is given to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from taskstream.consumer.view.follow.follower import Follower
from taskstream.consumer.view.follow.upkeep import Upkeep
from taskstream.consumer.view.http import tasks_api, v3_api
from taskstream.consumer.view.http.http import (
    Receive,
    Scope,
    Send,
    ViewRequest,
    ViewResponse,
    asked,
    error_answer,
    json_answer,
    reader,
    tell,
)
from taskstream.consumer.view.http.metrics import CONTENT_TYPE, ViewMetrics
from taskstream.consumer.view.http.openapi import document as openapi_document
from taskstream.consumer.view.http.page_files import PageFiles
from taskstream.consumer.view.http.sse_events import ChangeFeed
from taskstream.consumer.view.http.sse_response import SseResponse
from taskstream.consumer.view.json.task_json import task_page
from taskstream.consumer.view.read_model import task_list
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.signal_decoder import RaisedSignals
from taskstream.consumer.view.read_model.signal_log import SignalLog
from taskstream.consumer.view.read_model.state_changes import StateChanges
from taskstream.consumer.view.read_model.task_list import TaskNames
from taskstream.schemas.http.api_error import NOT_FOUND, UNAVAILABLE, ApiError
from taskstream.schemas.http.caller import Authenticator, Caller, Role


class View:
    """`scope, receive, send`: the application that a server runs."""

    def __init__(
        self,
        model: ReadModel,
        of_states: Follower[StateChanges],
        of_signals: Follower[RaisedSignals],
        authenticator: Authenticator,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._model = model
        self._progress = of_states.progress
        self._progress_of_signals = of_signals.progress
        self._signals = SignalLog()
        self._authenticator = authenticator
        self._now_us = now_us
        self._names = TaskNames(model)
        self._feed = ChangeFeed()
        self._streaming = SseResponse(model, self._names, self._feed, self._stream_state, now_us)
        self._upkeep = Upkeep(model, self._signals, self._feed, of_states, of_signals, now_us)
        self._metrics = ViewMetrics(model, self._signals, self._progress, self._feed, now_us)
        self._files = PageFiles()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining = False

    def drain(self) -> None:
        """Become unready and end the streams; what else is in flight goes on. Safe in a signal handler."""
        self._draining = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._feed.close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the application."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = asked(scope)
        route = "none"
        try:
            route, segments = _route(request)
            if route == "/stream":
                request.demand("GET")
                caller = await self._reader(request)
                await self._streaming.run(request, caller, receive, send)
                self._metrics.answered(route, 200)
                return
            request.demand("GET", "HEAD")
            answer = await self._answer(route, segments, request)
        except ApiError as error:
            answer = error_answer(error.answer, request)
        self._metrics.answered(route, answer.status)
        lag = ("x-view-lag", f"{self._progress.lag_s:.3f}")
        kept = () if any(name == "cache-control" for name, _ in answer.headers) else (("cache-control", "no-store"),)
        await tell(answer, request, send, more=(lag, *kept))

    async def _answer(self, route: str, segments: tuple[str, ...], request: ViewRequest) -> ViewResponse:
        match route:
            case "/healthz":
                broken = self._upkeep.broken
                return json_answer({"status": broken or "alive"}, 503 if broken else 200)
            case "/readyz":
                return self._readyz()
            case "/metrics":
                return ViewResponse(200, self._metrics.text(), CONTENT_TYPE)
            case "/openapi.json":
                return json_answer(openapi_document())
            case "/" | "/page":
                answer = self._files.answer(segments[-1] or "index.html", request)
                if answer is None:
                    raise _nothing_at(request)
                return answer
        caller = await self._reader(request)
        model, now_us = self._model, self._now_us()
        match route:
            case "/tasks":
                return json_answer(
                    tasks_api.tasks(model, self._names, caller, request.parameters(tasks_api.LIST_PARAMETERS), now_us)
                )
            case "/fleet":
                return json_answer(
                    tasks_api.sums(model, self._names, caller, request.parameters(task_list.FILTERS), now_us)
                )
            case "/tasks/{task_id}":
                project = request.parameters(frozenset({"project"})).get("project")
                return json_answer(self._page_of(self._task(segments[1], caller, project), now_us))
            case "/v3/tasks":
                parameters = request.parameters(v3_api.PARAMETERS, v3_api.IGNORED)
                return json_answer(v3_api.list_tasks(model, caller, parameters, now_us))
        return json_answer(v3_api.show_task(model, self._task(segments[2], caller), now_us))

    async def _reader(self, request: ViewRequest) -> Caller:
        caller = await reader(request, self._authenticator)
        if self._upkeep.broken is not None:
            raise ApiError(UNAVAILABLE, f"{self._upkeep.broken}; the view must be started anew")
        if not self._progress.caught_up:
            raise ApiError(UNAVAILABLE, "the view has not read the state topic to its end yet", retry_after_s=1)
        return caller

    def _task(self, task_id: str, caller: Caller, project: str | None = None) -> int:
        """The number of the task. Of several projects' tasks with this id an operator gets the one of their project."""
        sees_all = caller.may(Role.OPERATE)
        task = None
        if project in (None, caller.project_id) or sees_all:
            task = self._model.tasks.find(project or caller.project_id, task_id)
        if task is None and sees_all and project is None:
            task = next(iter(self._model.tasks.named(task_id)), None)
        if task is None:
            where = f"project {project or caller.project_id!r}" if project or not sees_all else "any project"
            raise ApiError(NOT_FOUND, f"no task {task_id[:200]!r} was ever reported in {where}")
        return task

    def _page_of(self, task: int, now_us: int) -> dict[str, Any]:
        held = self._signals.of_task(*self._model.tasks.name_of(task))
        progress = self._progress_of_signals
        problem = progress.problem or (None if progress.caught_up else "not read to their end yet")
        return task_page(self._model, task, held, now_us) | {"signals_problem": problem}

    def _readyz(self) -> ViewResponse:
        ready = self._progress.caught_up and not self._draining and self._upkeep.broken is None
        checks = {
            "caught_up": "yes" if self._progress.caught_up else "no",
            "draining": "yes" if self._draining else "no",
            "kafka": self._progress.problem or "ok",
            "signals": self._progress_of_signals.problem or "ok",
            "upkeep": self._upkeep.broken or "ok",
        }
        state = self._stream_state() | {"unreadable": self._progress.unreadable}
        return json_answer(
            {"status": "ready" if ready else "unready", "checks": checks, **state}, 200 if ready else 503
        )

    def _stream_state(self) -> dict[str, Any]:
        progress = self._progress
        return {
            "now_ms": self._now_us() // 1000,
            "lag_s": round(progress.lag_s, 3),
            "records_behind": progress.records_behind,
            "problem": progress.problem,
        }

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._loop = asyncio.get_running_loop()
        self._files.load()
        async with self._upkeep:
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self._feed.close()
        await send({"type": "lifespan.shutdown.complete"})


def _route(request: ViewRequest) -> tuple[str, tuple[str, ...]]:
    segments = request.segments
    match segments:
        case ("" | "tasks" | "fleet" | "stream" | "healthz" | "readyz" | "metrics" | "openapi.json",):
            return request.path, segments
        case ("page", _):
            return "/page", segments
        case ("tasks", _):
            return "/tasks/{task_id}", segments
        case ("v3", "tasks"):
            return "/v3/tasks", segments
        case ("v3", "tasks", _):
            return "/v3/tasks/{task_id}", segments
    raise _nothing_at(request)


def _nothing_at(request: ViewRequest) -> ApiError:
    return ApiError(NOT_FOUND, f"nothing is served at {request.path[:200]!r}")
