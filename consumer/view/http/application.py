"""The view as an ASGI application: which request gets which response, and what runs during its lifespan.

It knows no server and reads no settings.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final

from taskstream.consumer.errors import ConsumerError, KafkaFailed
from taskstream.consumer.kafka.state_decoder import StateChanges
from taskstream.consumer.notes.note_decoder import NoteChanges
from taskstream.consumer.task_context.task_context import TaskContext
from taskstream.consumer.view.follow.follower import Follower
from taskstream.consumer.view.follow.pipeline_watch import PipelineWatch
from taskstream.consumer.view.follow.upkeep import Upkeep
from taskstream.consumer.view.http import browser_sign_in, rates_api, tasks_api, v3_api
from taskstream.consumer.view.http.browser_sign_in import BrowserSignIn, NoProvider
from taskstream.consumer.view.http.gzip_response import compressed
from taskstream.consumer.view.http.metrics import CONTENT_TYPE, ViewMetrics
from taskstream.consumer.view.http.note_api import LONGEST_BODY, NoteStore, note_of
from taskstream.consumer.view.http.openapi import document as openapi_document
from taskstream.consumer.view.http.page_files import PageFiles
from taskstream.consumer.view.http.query_parameters import QUERY_CHARS, query_parameters
from taskstream.consumer.view.http.rates_api import RateSource
from taskstream.consumer.view.http.sse_response import PER_PROJECT, SseResponse
from taskstream.consumer.view.json.note_json import note_json
from taskstream.consumer.view.json.pipeline_json import pipeline_json, pipeline_text
from taskstream.consumer.view.json.task_json import task_detail
from taskstream.consumer.view.read_model import task_list
from taskstream.consumer.view.read_model.change_feed import ChangeFeed
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.signal_decoder import RaisedSignals
from taskstream.consumer.view.read_model.signal_log import SignalLog
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.schemas.errors import SchemasError
from taskstream.schemas.http.api_error import MALFORMED, NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE, ApiError
from taskstream.schemas.http.asgi import Receive, Scope, Send
from taskstream.schemas.http.caller import Authenticator, Caller, Role, identify_caller
from taskstream.schemas.http.request import Disconnected, HttpRequest
from taskstream.schemas.http.response import HttpResponse, content_response, problem_response, send_response

BODY_BYTES: Final = 65_536
"""The longest body of a signed request. Other bodies are not read."""


LONGEST_CODE: Final = 256
"""The longest code of a link that signs a browser in, in bytes."""
HISTORIES_AT_ONCE: Final = 2
"""How many questions for past rates are answered at once: each has a consumer of its own."""
ROUTES: Final = (
    "/",
    "/calibration",
    "/fleet",
    "/healthz",
    "/metrics",
    "/oidc/callback",
    "/oidc/start",
    "/openapi.json",
    "/page",
    "/readyz",
    "/report",
    "/session",
    "/sign-in",
    "/slowdowns",
    "/stream",
    "/tasks",
    "/tasks/{task_id}",
    "/tasks/{task_id}/note",
    "/tasks/{task_id}/rates",
    "/v3/tasks",
    "/v3/tasks/{task_id}",
    "none",
)
"""What `_route` gives, and "none"."""


class View:
    """The ASGI application that a server runs."""

    def __init__(
        self,
        model: ReadModel,
        of_states: Follower[StateChanges],
        of_signals: Follower[RaisedSignals],
        authenticator: Authenticator,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        watch: PipelineWatch | None = None,
        streams_per_project: int = PER_PROJECT,
        of_notes: Follower[NoteChanges] | None = None,
        store: NoteStore | None = None,
        rates: RateSource | None = None,
        context: TaskContext | None = None,
        take_code: Callable[[str], str | None] | None = None,
        sign_in: BrowserSignIn | None = None,
    ) -> None:
        """`watch`: how the view knows how far the workers are behind; without one this stays unknown.

        streams_per_project: how many event streams callers of one project may have open. of_notes, store: the notes of
        operators, and where new ones are kept; without them tasks have none.
        rates: where past rates are read; without it there are none. context: the labels and links of tasks.
        take_code: gives the token of a code that signs a browser in once; it may block. None: there are no codes.
        sign_in: how browsers sign in with a provider; `authenticator` knows their sessions. None: they cannot.
        """
        self._model = model
        self._store = store
        self._rates = rates
        self._context = context or TaskContext()
        self._take_code = take_code
        self._sign_in_with_provider = sign_in or NoProvider()
        self._history = asyncio.Semaphore(HISTORIES_AT_ONCE)
        self._progress_of_notes = None if of_notes is None else of_notes.progress
        self._progress = of_states.progress
        self._progress_of_signals = of_signals.progress
        self._signals = SignalLog()
        self._authenticator = authenticator
        self._now_us = now_us
        self._names = TaskNames(model)
        self._feed = ChangeFeed()
        self._streaming = SseResponse(
            model,
            self._names,
            self._feed,
            self._stream_state,
            now_us,
            per_project=streams_per_project,
            is_current=lambda: self._progress.caught_up,
        )
        self._upkeep = Upkeep(
            model, self._names, self._signals, self._feed, of_states, of_signals, now_us, watch, of_notes
        )
        self._metrics = ViewMetrics(model, self._signals, self._progress, self._feed, now_us, ROUTES)
        self._files = PageFiles()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining = False

    def drain(self) -> None:
        """Become unready and end the streams; other requests in flight continue. Safe in a signal handler."""
        self._draining = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._feed.close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the application."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest.from_scope(scope, receive)
        route = "none"
        try:
            route, segments = _route(request)
            if route == "/stream":
                request.require_method("GET")
                caller = await self._reader(request)
                address = (scope.get("client") or ("",))[0]
                await self._streaming.run(request, caller, receive, send, address)
                self._metrics.count_request(route, 200)
                return
            if route == "/tasks/{task_id}/note":
                request.require_method("PUT", "DELETE")
                response = await self._note(request, segments[1])
            elif route == "/sign-in":
                request.require_method("POST")
                response = await self._sign_in(request)
            elif route in browser_sign_in.ROUTES:
                response = await self._sign_in_with_provider.respond(route, request)
            else:
                request.require_method("GET", "HEAD")
                response = await self._response(route, segments, request)
        except ApiError as error:
            response = problem_response(error.problem, request.request_id)
        except Disconnected:
            return
        self._metrics.count_request(route, response.status)
        headers = [*response.headers, (b"x-view-lag", b"%.3f" % self._progress.lag_s)]
        if all(name != b"cache-control" for name, _ in headers):
            headers.append((b"cache-control", b"no-store"))
        response = await compressed(response._replace(headers=headers), request.headers.get("accept-encoding"))
        await send_response(response, send, head_only=request.method == "HEAD")

    async def _response(self, route: str, segments: tuple[str, ...], request: HttpRequest) -> HttpResponse:
        match route:
            case "/healthz":
                broken = self._upkeep.broken
                return _json(request, {"status": broken or "alive"}, 503 if broken else 200)
            case "/readyz":
                return self._readyz(request)
            case "/metrics":
                return content_response(request.request_id, self._metrics.text(), CONTENT_TYPE)
            case "/openapi.json":
                return _json(request, openapi_document())
            case "/" | "/page":
                return self._files.response(segments[-1] or "index.html", request)
        caller = await self._reader(request)
        self._require_current()
        model, now_us = self._model, self._now_us()
        match route:
            case "/tasks":
                parameters = query_parameters(request, tasks_api.LIST_PARAMETERS, several=task_list.SEVERAL)
                return _json(request, tasks_api.list_tasks(model, self._names, caller, parameters, now_us))
            case "/fleet":
                parameters = query_parameters(request, task_list.FILTERS, several=task_list.SEVERAL)
                return _json(request, tasks_api.fleet_totals(model, self._names, caller, parameters, now_us))
            case "/report":
                parameters = query_parameters(request, tasks_api.REPORT_PARAMETERS, several=task_list.SEVERAL)
                return _json(
                    request,
                    tasks_api.fleet_report(model, self._names, caller, parameters, self._context.labels_of, now_us),
                )
            case "/calibration":
                parameters = query_parameters(request, frozenset({"project"}))
                return _json(request, tasks_api.past_intervals(model, caller, parameters))
            case "/slowdowns":
                parameters = query_parameters(request, frozenset({"project"}))
                return _json(request, tasks_api.shared_slowdowns(model, caller, parameters, now_us))
            case "/tasks/{task_id}/rates":
                return await self._past_rates(request, segments[1], caller)
            case "/tasks/{task_id}":
                project = query_parameters(request, frozenset({"project"})).get("project")
                return _json(request, self._page_of(self._task(segments[1], caller, project), now_us))
            case "/v3/tasks":
                parameters = query_parameters(request, v3_api.PARAMETERS, v3_api.IGNORED)
                return _json(request, v3_api.list_tasks(model, self._names, caller, parameters, now_us))
        return _json(request, v3_api.show_task(model, self._task(segments[2], caller), now_us))

    async def _past_rates(self, request: HttpRequest, task_id: str, caller: Caller) -> HttpResponse:
        model, now_us = self._model, self._now_us()
        parameters = query_parameters(request, rates_api.PARAMETERS)
        asked = rates_api.range_of(parameters, model.bucket_us, now_us)
        slots = model.tasks.series_of(self._task(task_id, caller, parameters.get("project")))
        keys = [model.table.keys[slot] for slot in slots.tolist()]
        if self._rates is None or self._history.locked():
            why = "this view reads no past rates" if self._rates is None else "too many past rates are read now"
            raise ApiError(UNAVAILABLE, why, retry_after_s=2)
        async with self._history:
            try:
                found = await asyncio.to_thread(self._rates.read, keys, asked.from_us, asked.to_us, asked.step_us)
            except (ConsumerError, SchemasError) as error:
                raise ApiError(UNAVAILABLE, f"past rates cannot be read: {error}", retry_after_s=5) from error
        return _json(request, rates_api.rates_json(asked, found, now_us))

    async def _note(self, request: HttpRequest, task_id: str) -> HttpResponse:
        """Make or withdraw the note of a task."""
        body = await request.body(LONGEST_BODY)
        caller = await identify_caller(request, body, self._authenticator)
        caller.require_role(Role.OPERATE)
        self._require_current()
        task = self._task(task_id, caller, query_parameters(request, frozenset({"project"})).get("project"))
        name = self._model.tasks.name_of(task)
        note = None if request.method == "DELETE" else note_of(body, name, caller, self._now_us())
        if self._store is None:
            raise ApiError(UNAVAILABLE, "this view keeps no notes")
        try:
            change = await asyncio.to_thread(self._store.write, name, note)
        except (KafkaFailed, SchemasError) as error:
            raise ApiError(UNAVAILABLE, str(error), retry_after_s=5) from error
        self._upkeep.apply_notes([change])
        return _json(request, {"project_id": name[0], "task_id": name[1], "note": note_json(note)})

    async def _sign_in(self, request: HttpRequest) -> HttpResponse:
        """Exchange the code of a link, which is the body, for a token."""
        body = await request.body(LONGEST_CODE)
        code = body.decode(errors="replace")
        token = None if self._take_code is None else await asyncio.to_thread(self._take_code, code)
        if token is None:
            raise ApiError(UNAUTHENTICATED, "this link was used, or is older than ten minutes: sign in with a token")
        return _json(request, {"token": token})

    async def _reader(self, request: HttpRequest) -> Caller:
        """The caller of a request for tasks.

        Raises:
            ApiError: the caller may not read, or the view is broken.
        """
        if len(request.query) > QUERY_CHARS:
            raise ApiError(MALFORMED, f"the query has {len(request.query)} characters; the maximum is {QUERY_CHARS}")
        # a signature covers the body, which means nothing in a GET (RFC 9110, 9.3.1)
        body = await request.body(BODY_BYTES) if "authorization" in request.headers else b""
        caller = await identify_caller(request, body, self._authenticator)
        caller.require_role(Role.READ, Role.OPERATE)
        if self._upkeep.broken is not None:
            raise ApiError(UNAVAILABLE, f"{self._upkeep.broken}; the view must be restarted")
        return caller

    def _require_current(self) -> None:
        """Raise UNAVAILABLE unless the state topic has been read to its end once."""
        if not self._progress.caught_up:
            raise ApiError(UNAVAILABLE, "the view has not read the state topic to its end yet", retry_after_s=1)

    def _task(self, task_id: str, caller: Caller, project: str | None = None) -> int:
        """The index of the task. An operator gets their own project's task first, else that of any project."""
        sees_all = caller.may(Role.OPERATE)
        task = None
        if project in (None, caller.project_id) or sees_all:
            task = self._model.tasks.find(project or caller.project_id, task_id)
        if task is None and sees_all and project is None:
            task = next(iter(self._names.with_id(task_id).tolist()), None)
        if task is None:
            where = f"project {project or caller.project_id!r}" if project or not sees_all else "any project"
            raise ApiError(NOT_FOUND, f"no task {task_id[:200]!r} was ever reported in {where}")
        return task

    def _page_of(self, task: int, now_us: int) -> dict[str, Any]:
        name = self._model.tasks.name_of(task)
        signals, about = self._signals.of_task(*name), self._context.of(*name)
        progress = self._progress_of_signals
        problem = progress.problem or (None if progress.caught_up else "not read to their end yet")
        detail = task_detail(self._model, task, signals, now_us)
        return detail | {"signals_problem": problem, "labels": dict(about.labels), "links": dict(about.links)}

    def _readyz(self, request: HttpRequest) -> HttpResponse:
        ready = self._progress.caught_up and not self._draining and self._upkeep.broken is None
        checks = {
            "caught_up": "yes" if self._progress.caught_up else "no",
            "draining": "yes" if self._draining else "no",
            "kafka": self._progress.problem or "ok",
            "signals": self._progress_of_signals.problem or "ok",
            "notes": (self._progress_of_notes and self._progress_of_notes.problem) or "ok",
            "upkeep": self._upkeep.broken or "ok",
            "workers": pipeline_text(self._model.pipeline, self._now_us()) or "ok",
        }
        state = self._stream_state() | {"unreadable": self._progress.unreadable}
        document = {"status": "ready" if ready else "unready", "checks": checks, **state}
        return _json(request, document, 200 if ready else 503)

    def _stream_state(self) -> dict[str, Any]:
        progress = self._progress
        return {
            "now_ms": self._now_us() // 1000,
            "lag_s": round(progress.lag_s, 3),
            "records_behind": progress.records_behind,
            "problem": progress.problem,
            "pipeline": pipeline_json(self._model.pipeline, self._now_us()),
        }

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._loop = asyncio.get_running_loop()
        self._files.load()
        async with self._upkeep:
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self._feed.close()
        if self._store is not None:
            self._store.close()
        self._sign_in_with_provider.close()
        await send({"type": "lifespan.shutdown.complete"})


def _route(request: HttpRequest) -> tuple[str, tuple[str, ...]]:
    """The route as a pattern, and the segments of the path."""
    segments = request.segments
    match segments:
        case (("" | "tasks" | "fleet" | "report" | "calibration" | "slowdowns" | "stream" | "sign-in") as name,):
            return f"/{name}", segments
        case ("session",) | ("oidc", "start" | "callback"):
            return "/" + "/".join(segments), segments
        case (("healthz" | "readyz" | "metrics" | "openapi.json") as name,):
            return f"/{name}", segments
        case ("page", _):
            return "/page", segments
        case ("tasks", _, ("note" | "rates") as name):
            return f"/tasks/{{task_id}}/{name}", segments
        case ("tasks", _):
            return "/tasks/{task_id}", segments
        case ("v3", "tasks"):
            return "/v3/tasks", segments
        case ("v3", "tasks", _):
            return "/v3/tasks/{task_id}", segments
    raise request.not_found()


def _json(request: HttpRequest, document: object, status: int = 200) -> HttpResponse:
    body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    return content_response(request.request_id, body, status=status)
