"""The view's event loop with 100,000 tasks: how long requests and changes hold it.

Then what a worker does once a second at 100,000 and at a million series.

In one process and without Kafka: requests go through the ASGI application, changes through the read model. Before each
request 200 rows of old tasks change, five tasks are new and two are dropped, so each request is the first after a
change. A figure is the CPU time of the loop's thread: what other requests wait on a machine with a free core.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from taskstream.consumer.kafka.state_decoder import StateChanges
from taskstream.consumer.state.fold import fold_events  # noqa: F401 (compiled before anything is measured)
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.consumer.state.tasks.task_health import TaskHealth
from taskstream.consumer.view.follow.follow_progress import FollowProgress
from taskstream.consumer.view.follow.upkeep import MOST_AT_ONCE
from taskstream.consumer.view.http.application import View
from taskstream.consumer.view.http.sse_events import RenderedTasks, events
from taskstream.consumer.view.read_model.change_feed import ChangeFeed
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.signal_log import RaisedSignal
from taskstream.consumer.view.read_model.task_list import TaskFilter
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.schemas.http.caller import Caller, Role
from tests.consumer.view.fleets import fleet
from tests.consumer.view.views import S, now_us, signal

SECTION = "view_requests"
TASKS = 100_000
TEMPLATES = 1_000
PROJECTS = 50
ROUNDS = 30
BATCH = 5_000
STREAMS = 200
OF_ALL = "the same to all of them, with other requests between them"
REQUESTS = {
    "GET /tasks, each sort": [
        f"/tasks?sort={sign}{name}"
        for sign in ("", "-")
        for name in ("health", "task_id", "project_id", "subtask_name", "left", "ends_at_ms", "progress", "trend")
    ]
    + [f"/tasks?sort={name}" for name in ("-rate_fast_bps", "reports", "first_seen_ms", "last_seen_ms")],
    "GET /tasks?limit=500": ["/tasks?limit=500"],
    "GET /tasks?health=": ["/tasks?health=SILENT,SLOW", "/tasks?health=COMPLETE&sort=task_id"],
    "GET /tasks?project=": ["/tasks?project=project-7", "/tasks?project=project-7&sort=-task_id"],
    "GET /tasks?q=": ["/tasks?q=00-0", "/tasks?q=task-012345", "/tasks?q=K-9&sort=task_id"],
    "GET /fleet": ["/fleet", "/fleet?health=OK", "/fleet?q=task-0"],
    "GET /report": ["/report?by=1h", "/report?by=8h&project=project-7"],
    "GET /tasks/{id}": ["/tasks/task-012345", "/tasks/task-099999?project=project-49"],
    "GET /v3/tasks": ["/v3/tasks", "/v3/tasks?offset=65000&limit=200", "/v3/tasks?state=RUNNING"],
    "GET /v3/tasks?name=": ["/v3/tasks?name=task-0123", "/v3/tasks?name=no-such-name"],
    "GET /v3/tasks?id=": ["/v3/tasks?id=task-012345"],
    "GET /v3/tasks/{id}": ["/v3/tasks/task-012345"],
    "GET /metrics": ["/metrics"],
}
PAGED = [f"/tasks?sort={sort}" for sort in ("task_id", "-task_id", "health", "trend", "project_id")]


class AtItsEnd:
    """A follower of a topic that is read to its end."""

    def __init__(self) -> None:
        self.progress = FollowProgress()
        self.progress.begin({0: 0}, {0: 0})
        self.progress.update()


class Everybody:
    """Everybody is an operator."""

    async def authenticate(self, _request, _body) -> Caller:
        return Caller("operations", frozenset({Role.OPERATE}))


class Fleet:
    """The rows of the tasks by series key, and the changes that they make."""

    def __init__(self, tasks: int) -> None:
        """A third of the tasks have three series, the others one."""
        rows, _ = fleet(now_us(), TEMPLATES)
        keys = list(rows)
        self._rows = np.concatenate(list(rows.values()))
        names = [key.rpartition("/")[2] for key in keys]
        self.keys: list[str] = []
        chosen: list[int] = []
        for number in range(tasks):
            first = number % TEMPLATES * 3
            for index in range(first if number % 3 == 0 else first + 2, first + 3):
                self.keys.append(f"project-{number % PROJECTS}/task-{number:06d}/{names[index]}")
                chosen.append(index)
        self._of_key = np.array(chosen)
        self._latest = np.flatnonzero(self._of_key % 3 == 2)  # the last subtask of each task
        self._random = np.random.default_rng(5)
        self._added = 0
        self.made: list[str] = []

    def all(self, batch: int = BATCH) -> list[StateChanges]:
        return [
            changes_of(self.keys[first : first + batch], self._rows[self._of_key[first : first + batch]])
            for first in range(0, len(self.keys), batch)
        ]

    def change(self, old: int, new: int, gone: int = 0) -> StateChanges:
        """Rows of the latest subtasks of `old` tasks, `new` tasks, and `gone` of the tasks that this made before."""
        chosen = self._random.choice(self._latest, old, replace=False)
        rows = self._rows[self._of_key[chosen]].copy()
        rows["reports"] += 1
        rows["last_seen"] = np.maximum(rows["last_seen"], now_us() - self._random.integers(0, 10, old) * S)
        numbers = range(self._added, self._added + new)
        made = [f"project-{each % PROJECTS}/{self._random.bytes(4).hex()}-{each}/SYNC_LINUX_FILE" for each in numbers]
        self._added += new
        dropped, self.made = self.made[:gone], [*self.made[gone:], *made]
        keys = [self.keys[each] for each in chosen.tolist()] + made
        return changes_of(keys, np.concatenate([rows, np.resize(self._rows[2::3], new)]), dropped)


def changes_of(keys: list[str], rows: np.ndarray, dropped: list[str] | tuple[()] = ()) -> StateChanges:
    traces, agent_times = pa.array(["copying"] * len(keys), pa.string()), pa.nulls(len(keys), pa.string())
    return StateChanges(keys, rows, traces, agent_times, dropped)


class Times:
    """Milliseconds of the loop's CPU, by what was done."""

    def __init__(self) -> None:
        self._ms: dict[str, list[float]] = defaultdict(list)

    def of(self, what: str, action: Callable[[], object]) -> None:
        began_s = time.thread_time()
        action()
        self.note(what, time.thread_time() - began_s)

    def note(self, what: str, took_s: float) -> None:
        self._ms[what].append(took_s * 1000)

    def show(self) -> None:
        for what, values in self._ms.items():
            p99 = statistics.quantiles(values, n=100)[98] if len(values) > 1 else values[0]
            print(
                f"view: {what}: p50 {statistics.median(values):.1f} ms, p99 {min(p99, max(values)):.1f} ms, "
                f"max {max(values):.1f} ms",
                flush=True,
            )
        longest, what = max((max(values), what) for what, values in self._ms.items() if what != OF_ALL)
        print(f"view: the longest pause of the loop: {longest:.1f} ms, by {what}", flush=True)


def run() -> None:
    """Print the figures."""
    gc.collect()
    gc.freeze()  # as the view does
    requests()
    for series in (100_000, 1_000_000):
        judging(series)


def requests() -> None:
    """Every kind of request, and what the view does by itself."""
    fleet_rows, model, times = Fleet(TASKS), ReadModel(Settings()), Times()
    began_s = time.thread_time()
    for changes in fleet_rows.all():
        model.apply(changes, now_us())
    took_s = time.thread_time() - began_s
    print(f"view: {len(model.tasks):,} tasks of {len(model.table):,} series applied in {took_s:.1f} s")
    view = View(model, AtItsEnd(), AtItsEnd(), Everybody(), now_us)  # type: ignore[arg-type] # they follow nothing
    raised = (RaisedSignal(**signal(now_us() - each * S, task="project-45/task-012345")) for each in range(50))
    view._signals.add(raised)  # noqa: SLF001 (their topic would need a Kafka)
    for what, paths in REQUESTS.items():
        for path in paths:
            ask(view, path)
            for _ in range(ROUNDS // len(paths) + 1):
                model.apply(fleet_rows.change(200, 5, 2), now_us())
                times.of(what, lambda path=path: ask(view, path))
    for path in PAGED:
        cursor = ask(view, path)["next_cursor"]
        for _ in range(ROUNDS // len(PAGED) + 1):
            model.apply(fleet_rows.change(200, 5, 2), now_us())
            times.of("GET /tasks?cursor=", lambda path=path, cursor=cursor: ask(view, f"{path}&cursor={cursor}"))
    for passed_s in range(0, 600, 20):
        times.of("judging by the clock", lambda passed_s=passed_s: model.update_health(now_us() + passed_s * S))
    names = TaskNames(model)
    names.refresh()
    asyncio.run(fan_out(model, names, fleet_rows, times))
    for old, new in ((MOST_AT_ONCE, 0), (0, MOST_AT_ONCE)):
        for _ in range(ROUNDS):
            changes = fleet_rows.change(old, new, new)
            times.of(f"{old:,} rows and {new:,} new tasks", lambda changes=changes: apply(model, names, changes))
    times.show()


async def fan_out(model: ReadModel, names: TaskNames, fleet_rows: Fleet, times: Times) -> None:
    """200 streams that each get the changes of 200 tasks."""
    feed, rendered = ChangeFeed(), RenderedTasks(model, now_us)
    streams = [events(model, names, feed, TaskFilter(), model.version, dict, now_us, rendered) for _ in range(STREAMS)]
    for stream in streams:
        while b"beat" not in await anext(stream):
            pass
    for _ in range(5):
        apply(model, names, fleet_rows.change(200, 0))
        began_s = time.thread_time()
        for stream in streams:
            held_s = time.thread_time()
            while b"event: task" not in await anext(stream):
                pass
            times.note("changes of 200 tasks to one of 200 streams", time.thread_time() - held_s)
        times.note(OF_ALL, time.thread_time() - began_s)
    feed.close()


def apply(model: ReadModel, names: TaskNames, changes: StateChanges) -> None:
    model.apply(changes, now_us())
    names.refresh()


def ask(view: View, path: str) -> dict:
    """The response of the application to one request; the loop does nothing else meanwhile."""
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request"}

    async def send(message: dict) -> None:
        sent.append(message)

    raw, _, query = path.partition("?")
    scope = {"type": "http", "method": "GET", "raw_path": raw.encode(), "query_string": query.encode(), "headers": []}
    answer = view(scope, receive, send)
    try:
        while True:
            answer.send(None)
    except StopIteration:
        pass
    assert sent[0]["status"] == 200, (path, sent)
    return json.loads(sent[1]["body"]) if query else {}


def judging(series: int) -> None:
    """What a worker does once a second, besides its records: the judging of silence, with 10,000 reports per second."""
    rows = Fleet(series * 3 // 5)
    table = SeriesTable()
    for changes in rows.all(50_000):
        changes.apply_to(table)
    health, times = TaskHealth(table), Times()
    times.of(f"worker's first judging of {len(table):,} series", health.refresh)
    for second in range(20):
        rows.change(10_000, 100).apply_to(table)
        times.of(f"worker's judging of {series:,} series", lambda second=second: judge(health, second))
    times.show()


def judge(health: TaskHealth, second: int) -> None:
    moment_us = now_us() + second * S
    health.refresh()
    health.superseded_marks()
    health.judge(health.newly_silent(moment_us), moment_us)


if __name__ == "__main__":
    run()
