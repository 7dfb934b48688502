"""GET /stream: changes of the selected tasks as server-sent events.

A listener is little more than a version of the read model: when the client can receive more, the changes since that
version are read from the model. So a slow client skips intermediate states, and unsent events take no memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.view.json.task_json import task_summary
from taskstream.consumer.view.read_model.change_feed import ChangeFeed
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_list import TaskFilter, select_tasks
from taskstream.consumer.view.read_model.task_names import TaskNames

MOST_AT_ONCE: Final = 500
"""Tasks in one write; the rest follows in the next one."""
BEAT_S: Final = 2.0
CURRENT_POLL_S: Final = 0.5
"""How often a stream that waits for the view to be current looks."""
NO_VERSION: Final = "none"
"""The id of an event of no version. Without one, a client would come back as one that has nothing to catch up with."""
SETTLE_S: Final = 0.05
"""The least time between two writes to a client: several changes of a task within it become one event."""


RENDERED_US: Final = 1_000_000
"""How long an event that was made for one stream is sent to others."""


class RenderedTasks:
    """The events of changed tasks, made once for all streams that send them within a second."""

    def __init__(self, model: ReadModel, now_us: Callable[[], int]) -> None:
        self._model = model
        self._now_us = now_us
        self._since_us = 0
        self._events: dict[tuple[int, int], bytes] = {}
        """[task, version of its latest change] of this second."""

    def event_of(self, task: int) -> bytes:
        """The event `task` of this task as it is."""
        now_us = self._now_us()
        if abs(now_us - self._since_us) >= RENDERED_US:
            self._events.clear()
            self._since_us = now_us
        key = task, int(self._model.changed[task])
        event = self._events.get(key)
        if event is None:
            event = self._events[key] = _event("task", task_summary(self._model, task, now_us))
        return event


@dataclass(slots=True)
class _Listener:
    """The state of one stream."""

    version: int
    shown: npt.NDArray[np.bool_]
    """[task] whether the client may list the task, and so must receive `left` when the task leaves."""


async def events(
    model: ReadModel,
    names: TaskNames,
    feed: ChangeFeed,
    wanted: TaskFilter,
    since: int | None,
    state: Callable[[], dict[str, Any]],
    now_us: Callable[[], int],
    rendered: RenderedTasks | None = None,
    is_current: Callable[[], bool] = lambda: True,
) -> AsyncIterator[bytes]:
    """The bytes of the stream. `since` is the version that the client has; None makes the client begin anew.

    Streams that share `rendered` share the work of making events.
    Events: `task` (an entry as in GET /tasks), `left` (a task is gone or no longer selected), `reset` (fetch /tasks
    again), and every BEAT_S seconds `beat` with `state()`. Until `is_current()`, there are beats only, and the client
    begins anew then; their id is NO_VERSION, so a client that loses the connection before begins anew in the next one.
    Each block is an event: some clients take a block without data for an empty message.
    """
    begun = b"retry: 1000\n"
    while not is_current():
        if feed.closed:
            return
        yield begun + _event("beat", state(), NO_VERSION)
        begun, since = b"", None
        await _until_current(is_current, feed, asyncio.get_running_loop().time() + BEAT_S)
    listener = _Listener(model.version if since is None else since, np.ones(model.changed.shape[0], np.bool_))
    rendered = rendered or RenderedTasks(model, now_us)
    if since is None:
        begun += _event("reset", {}, feed.event_id(listener.version))
    yield begun + _event("beat", state(), feed.event_id(listener.version))
    beat_at = asyncio.get_running_loop().time() + BEAT_S
    while not feed.closed:
        wait_s = beat_at - asyncio.get_running_loop().time()
        if wait_s <= 0:
            yield _event("beat", state(), feed.event_id(listener.version))
            beat_at += max(BEAT_S, BEAT_S - wait_s)
        elif listener.version < model.version:
            changes = _changes(model, names, feed, wanted, listener, rendered)
            if changes:
                yield changes
            # with more to send, other requests still have their turn before it
            await asyncio.sleep(SETTLE_S if listener.version == model.version else 0)
        else:
            await feed.wait(wait_s)


async def _until_current(is_current: Callable[[], bool], feed: ChangeFeed, deadline_s: float) -> None:
    """Wait until the view is current, the streams are to end, or the time of the loop's clock is reached."""
    while not is_current() and not feed.closed:
        left_s = deadline_s - asyncio.get_running_loop().time()
        if left_s <= 0:
            return
        await feed.wait(min(left_s, CURRENT_POLL_S))


def _changes(
    model: ReadModel,
    names: TaskNames,
    feed: ChangeFeed,
    wanted: TaskFilter,
    listener: _Listener,
    rendered: RenderedTasks,
) -> bytes:
    """The events of the changes since the listener's version, as bytes; advances that version."""
    goal = model.version
    gone = model.gone_after(listener.version)
    if gone is None:
        listener.version = goal
        return _event("reset", {}, feed.event_id(goal))
    changed = model.changed_after(listener.version)
    if changed.shape[0] > MOST_AT_ONCE:
        changed = changed[:MOST_AT_ONCE]
        goal = int(model.changed[changed[-1]])
    more = model.changed.shape[0] - listener.shown.shape[0]
    if more:
        listener.shown = np.concatenate([listener.shown, np.zeros(more, np.bool_)])
    here = select_tasks(model, names, wanted, changed)
    left = np.setdiff1d(changed[listener.shown[changed]], here, assume_unique=True)
    listener.shown[left] = False
    listener.shown[here] = True
    parts = [rendered.event_of(task) for task in here.tolist()]
    for task in left.tolist():
        project_id, task_id = model.tasks.name_of(task)
        if wanted.takes_project(project_id):
            parts.append(_event("left", {"project_id": project_id, "task_id": task_id}))
    for each in gone:
        back = model.tasks.find(each.project_id, each.task_id) is not None
        if wanted.takes_project(each.project_id) and each.version <= goal and not back:
            parts.append(_event("left", {"project_id": each.project_id, "task_id": each.task_id}))
    listener.version = goal
    if parts:  # the id belongs to the last event: a client that has only those before it asks for all of them again
        parts[-1] = b"id: " + feed.event_id(goal).encode() + b"\n" + parts[-1]
    return b"".join(parts)


def _event(name: str, document: dict[str, Any], event_id: str | None = None) -> bytes:
    last = f"id: {event_id}\n" if event_id is not None else ""
    return f"{last}event: {name}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n".encode()
