"""GET /stream: changes of the chosen tasks as server-sent events, for as long as the listener keeps up.

A listener holds a version and nothing else: what changed after it is asked of the board when the listener can take
more. So one that reads slowly skips states between, and one that stops reading is cut; neither costs memory.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.view.http.http import refused
from taskstream.consumer.view.json.task_json import task_line
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_list import TaskFilter, TaskNames, chosen

MOST_AT_ONCE: Final = 500
"""Tasks in one write; the rest waits until that has gone out."""
BEAT_S: Final = 2.0
SETTLE_S: Final = 0.05
"""The least time between two writes to a listener: what changes within it is told once."""


class ChangeFeed:
    """Wakes listeners when the board changed. `era` names this run of the view: versions of another mean nothing."""

    def __init__(self) -> None:
        self.era = secrets.token_hex(4)
        self.listeners = 0
        self.cut = 0
        """Listeners that were cut because they did not read."""
        self._event = asyncio.Event()
        self.closed = False

    def wake(self) -> None:
        """Say that something changed."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    def close(self) -> None:
        """End every stream."""
        self.closed = True
        self.wake()

    async def news(self, timeout_s: float) -> None:
        """Wait until something changes, or for so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return

    def event_id(self, version: int) -> str:
        """The id of an event, to be given back as Last-Event-ID."""
        return f"{self.era}-{version}"

    def version_of(self, event_id: str | None, latest: int) -> int | None:
        """The version that a listener has: the latest when it names none, None when it is of another run.

        Raises:
            ApiError: INVALID_FIELD for what is no id at all.
        """
        if event_id is None:
            return latest
        era, _, number = event_id.partition("-")
        if not (number.isascii() and number.isdigit() and len(number) < 19 and len(era) == len(self.era)):
            raise refused("Last-Event-ID", "must be the id of an event of this stream")
        return int(number) if era == self.era and int(number) <= latest else None


@dataclass(slots=True)
class _Listener:
    """What one listener is owed."""

    version: int
    shown: npt.NDArray[np.bool_]
    """[task] whether the listener may have it in its list, and must be told when it leaves."""


async def events(
    model: ReadModel,
    names: TaskNames,
    feed: ChangeFeed,
    wanted: TaskFilter,
    since: int | None,
    state: Callable[[], dict[str, Any]],
    now_us: Callable[[], int],
) -> AsyncIterator[bytes]:
    """The stream's bytes. `since`: the version that the listener has; None: it must begin anew, and is told so.

    Events: `task` (a line as in GET /tasks), `left` (a task is no more, or is not chosen any more), `reset` (fetch
    /tasks again), and every two seconds `beat` with `state()`.
    """
    listener = _Listener(model.version if since is None else since, np.ones(model.changed.shape[0], np.bool_))
    yield b"retry: 1000\n\n"
    if since is None:
        yield _event("reset", {}, feed.event_id(listener.version))
    yield _event("beat", state(), feed.event_id(listener.version))
    beat_at = asyncio.get_running_loop().time() + BEAT_S
    while not feed.closed:
        wait_s = beat_at - asyncio.get_running_loop().time()
        if wait_s <= 0:
            yield _event("beat", state(), feed.event_id(listener.version))
            beat_at += max(BEAT_S, BEAT_S - wait_s)
        elif listener.version < model.version:
            told = _tell(model, names, feed, wanted, listener, now_us())
            if told:
                yield told
            if listener.version == model.version:
                await asyncio.sleep(SETTLE_S)
        else:
            await feed.news(wait_s)


def _tell(
    model: ReadModel, names: TaskNames, feed: ChangeFeed, wanted: TaskFilter, listener: _Listener, now_us: int
) -> bytes:
    """What changed since the listener's version, as bytes; moves that version on."""
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
    here = chosen(model, names, wanted, changed)
    left = np.setdiff1d(changed[listener.shown[changed]], here, assume_unique=True)
    listener.shown[left] = False
    listener.shown[here] = True
    mine = None if wanted.project is None else wanted.project
    parts = [_event("task", task_line(model, task, now_us)) for task in here.tolist()]
    for task in left.tolist():
        project_id, task_id = model.tasks.name_of(task)
        if mine in (None, project_id):
            parts.append(_event("left", {"project_id": project_id, "task_id": task_id}))
    for each in gone:
        back = model.tasks.find(each.project_id, each.task_id) is not None
        if mine in (None, each.project_id) and each.version <= goal and not back:
            parts.append(_event("left", {"project_id": each.project_id, "task_id": each.task_id}))
    listener.version = goal
    return b"".join(parts) + b"id: " + feed.event_id(goal).encode() + b"\n\n" if parts else b""


def _event(name: str, document: dict[str, Any], event_id: str | None = None) -> bytes:
    last = f"id: {event_id}\n" if event_id is not None else ""
    return f"{last}event: {name}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n".encode()
