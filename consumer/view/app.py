"""The view as a plain ASGI application: which request goes where, and that the board follows the topic meanwhile.

It knows no server and reads no settings; what it is made of is given to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog

from consumer.view import sdk
from consumer.view.board import Board
from consumer.view.exchange import Answer, Asked, Receive, Scope, Send, asked, error_answer, json_answer, reader, tell
from consumer.view.follow import StateFollower
from schemas.api_error import NOT_FOUND, UNAVAILABLE, ApiError
from schemas.caller import Authenticator, Caller, Role

_log = structlog.get_logger("taskstream.view")


class View:
    """`scope, receive, send`: the application that a server runs."""

    def __init__(
        self,
        board: Board,
        follower: StateFollower,
        authenticator: Authenticator,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._board = board
        self._follower = follower
        self._authenticator = authenticator
        self._now_us = now_us
        self._draining = False

    def drain(self) -> None:
        """Become unready; what is in flight goes on."""
        self._draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the application."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's)
        request = asked(scope)
        try:
            answer = await self._route(request)
        except ApiError as error:
            answer = error_answer(error.answer, request)
        lag = (("x-view-lag", f"{self._follower.progress.lag_s:.3f}"),)
        await tell(answer, request, send, more=(("cache-control", "no-store"), *lag))

    async def _route(self, request: Asked) -> Answer:
        match request.segments:
            case ("healthz",):
                request.demand("GET", "HEAD")
                return json_answer({"status": "alive"})
            case ("readyz",):
                request.demand("GET", "HEAD")
                return self._readyz()
            case ("v3", "tasks"):
                request.demand("GET", "HEAD")
                caller = await self._reader(request)
                parameters = request.parameters(sdk.PARAMETERS, sdk.IGNORED)
                return json_answer(sdk.list_tasks(self._board, caller, parameters, self._now_us()))
            case ("v3", "tasks", task_id):
                request.demand("GET", "HEAD")
                caller = await self._reader(request)
                return json_answer(sdk.show_task(self._board, self._task(task_id, caller), self._now_us()))
        raise ApiError(NOT_FOUND, f"nothing is served at {request.path[:200]!r}")

    async def _reader(self, request: Asked) -> Caller:
        caller = await reader(request, self._authenticator)
        if not self._follower.progress.caught_up:
            raise ApiError(UNAVAILABLE, "the view has not read the state topic to its end yet", retry_after_s=1)
        return caller

    def _task(self, task_id: str, caller: Caller) -> int:
        """The number of the caller's task; of several projects' tasks with this id, the one of the caller's project."""
        task = self._board.tasks.find(caller.project_id, task_id)
        if task is None and caller.may(Role.OPERATE):
            task = next(iter(self._board.tasks.named(task_id)), None)
        if task is None:
            raise ApiError(NOT_FOUND, f"no task {task_id[:200]!r} was ever reported in project {caller.project_id!r}")
        return task

    def _readyz(self) -> Answer:
        progress = self._follower.progress
        ready = progress.caught_up and not self._draining
        document = {
            "status": "ready" if ready else "unready",
            "checks": {
                "caught_up": "yes" if progress.caught_up else "no",
                "draining": "yes" if self._draining else "no",
                "kafka": progress.problem or "ok",
            },
            "lag_s": round(progress.lag_s, 3),
            "records_behind": progress.records_behind,
            "unreadable": progress.unreadable,
        }
        return json_answer(document, 200 if ready else 503)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._follower:
            following = asyncio.get_running_loop().create_task(self._follow())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
        await send({"type": "lifespan.shutdown.complete"})

    async def _follow(self) -> None:
        progress = self._follower.progress
        problem, caught_up = progress.problem, False
        while True:
            self._board.apply(await self._follower.changes())
            if progress.caught_up and not caught_up:
                caught_up = True
                _log.info("caught_up", tasks=len(self._board.tasks), series=len(self._board.table))
            if progress.problem != problem:
                problem = progress.problem
                _log.warning("kafka", problem=problem or "none any more")
