"""The view's background tasks: they follow both topics into memory, judge health by the clock, and wake listeners.

It knows no HTTP. A task that ends, which none should, is reported by `broken`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Self

import structlog

from taskstream.consumer.kafka.state_decoder import StateChanges
from taskstream.consumer.notes.note_decoder import NoteChange, NoteChanges
from taskstream.consumer.view.follow.follow_progress import FollowProgress
from taskstream.consumer.view.follow.follower import Follower
from taskstream.consumer.view.follow.free_memory import return_free_memory
from taskstream.consumer.view.follow.pipeline_watch import PipelineWatch
from taskstream.consumer.view.read_model.change_feed import ChangeFeed
from taskstream.consumer.view.read_model.pipeline_lag import pipeline_lag
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.signal_decoder import RaisedSignals
from taskstream.consumer.view.read_model.signal_log import SignalLog
from taskstream.consumer.view.read_model.task_names import TaskNames

JUDGE_INTERVAL_S: Final = 1.0
"""How often every task's health is judged by the clock."""
MOST_AT_ONCE: Final = 500
"""How many changed series are applied at once: so long does a request wait."""
MOST_AT_START: Final = 5_000
"""The same until the topic was read to its end: each part costs something per series that the model holds."""
FIRST_ANSWER_S: Final = 5.0
"""How long the view waits at its start to learn how far the workers are behind."""
LOG_INTERVAL_S: Final = 5.0
"""The least time between two log events about one topic's problem."""
_log = structlog.get_logger("taskstream.view")


class Upkeep:
    """`async with Upkeep(...)`: inside, `model` and `signals` follow their topics, and `feed` is woken by changes."""

    def __init__(
        self,
        model: ReadModel,
        names: TaskNames,
        signals: SignalLog,
        feed: ChangeFeed,
        of_states: Follower[StateChanges],
        of_signals: Follower[RaisedSignals],
        now_us: Callable[[], int],
        watch: PipelineWatch | None = None,
        of_notes: Follower[NoteChanges] | None = None,
    ) -> None:
        self._of_notes = of_notes
        self._watch = watch
        self._model = model
        self._names = names
        self._signals = signals
        self._feed = feed
        self._of_states = of_states
        self._of_signals = of_signals
        self._now_us = now_us
        self.broken: str | None = None
        """Which task ended, and why; None: none. Only a restart of the process helps."""

    async def __aenter__(self) -> Self:
        self._stack = contextlib.AsyncExitStack()
        await self._stack.enter_async_context(self._of_states)
        await self._stack.enter_async_context(self._of_signals)
        following_notes = []
        if self._of_notes is not None:
            await self._stack.enter_async_context(self._of_notes)
            following_notes.append(("following the notes", self._follow_notes(self._of_notes)))
        if self._watch is not None:
            await self._stack.enter_async_context(self._watch)
        for name, task in (
            ("following the state topic", self._follow_states()),
            ("following the signals", self._follow_signals()),
            ("judging health", self._judge()),
            *following_notes,
        ):
            await self._stack.enter_async_context(self._running(name, task))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @contextlib.asynccontextmanager
    async def _running(self, name: str, coroutine: Coroutine[Any, Any, None]) -> Any:
        def on_end(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                self.broken = f"{name} ended: {type(task.exception()).__name__}"
                _log.error("broken", what=name, exc_info=task.exception())

        task = asyncio.get_running_loop().create_task(coroutine)
        task.add_done_callback(on_end)
        yield
        task.cancel()
        await asyncio.wait([task])

    def _update_pipeline(self, now_us: int) -> None:
        if self._watch is not None:
            self._model.pipeline = pipeline_lag(self._watch.answer, now_us, self._watch.limit_s)

    async def _follow_states(self) -> None:
        if self._watch is not None:  # no task may be shown as silent because of workers that are behind
            await self._watch.first_answer(FIRST_ANSWER_S)
        self._update_pipeline(self._now_us())
        log, restarts, is_starting = _FollowLog("state", self._of_states.progress), 0, True
        while True:
            changes = await self._of_states.next_batch()
            if self._of_states.progress.restarts != restarts:  # the rows were of a topic that is gone
                restarts = self._of_states.progress.restarts
                table = self._model.table
                changes = StateChanges(dropped=table.keys[table.rows["live"]].tolist())
                _log.warning("begun anew", topic="state", series=len(changes.dropped))
            if changes is not None and (changes.keys or changes.dropped):
                now_us = self._now_us()
                self._update_pipeline(now_us)
                for part in changes.parts(MOST_AT_START if is_starting else MOST_AT_ONCE):
                    self._model.apply(part, now_us)
                    self._names.refresh()
                    await asyncio.sleep(0)  # requests are answered between two parts
                self._feed.wake()
            if is_starting and self._of_states.progress.caught_up:
                return_free_memory()
            is_starting = not self._of_states.progress.caught_up
            log.update(tasks=len(self._model.tasks), series=len(self._model.table))

    async def _follow_signals(self) -> None:
        log, restarts = _FollowLog("signals", self._of_signals.progress), 0
        while True:
            raised = await self._of_signals.next_batch()
            if self._of_signals.progress.restarts != restarts:
                restarts = self._of_signals.progress.restarts
                self._signals.clear()
            if raised is not None and raised.signals:
                self._model.mark_changed(self._signals.add(raised.signals))
                self._feed.wake()
            log.update(signals=len(self._signals))

    async def _follow_notes(self, of_notes: Follower[NoteChanges]) -> None:
        log, restarts = _FollowLog("notes", of_notes.progress), 0
        while True:
            noted = await of_notes.next_batch()
            if of_notes.progress.restarts != restarts:
                restarts = of_notes.progress.restarts
                self._model.mark_changed(self._model.notes.clear())
            if noted is not None and noted.changes:
                self.apply_notes(noted.changes)
            log.update(notes=len(self._model.notes))

    def apply_notes(self, changes: Sequence[NoteChange]) -> None:
        """Notes were made or withdrawn."""
        self._model.mark_changed(self._model.notes.apply(changes, self._now_us()))
        self._feed.wake()

    async def _judge(self) -> None:
        while True:
            await asyncio.sleep(JUDGE_INTERVAL_S)
            before, now_us = self._model.version, self._now_us()
            self._update_pipeline(now_us)
            self._model.update_health(now_us)
            self._model.mark_changed(self._model.notes.expire(now_us))
            if self._model.version != before:
                self._feed.wake()


class _FollowLog:
    """Logs changes of a topic's problem, and once that the topic was read to its end.

    The problem that it begins with, of a topic that nothing was heard of yet, is not logged, and so its end is not.
    """

    def __init__(self, topic: str, progress: FollowProgress) -> None:
        self._topic = topic
        self._progress = progress
        self._first = progress.problem
        self._logged: str | None = None
        self._logged_at_s = 0.0
        self._caught_up = False

    def update(self, **counts: int) -> None:
        if self._progress.caught_up and not self._caught_up:
            self._caught_up = True
            _log.info("caught_up", topic=self._topic, **counts)
        now_s = time.monotonic()
        problem = self._progress.problem
        if problem not in (self._first, self._logged) and now_s - self._logged_at_s >= LOG_INTERVAL_S:
            self._logged, self._logged_at_s = problem, now_s
            _log.warning("kafka", topic=self._topic, problem=problem or "none any more")
