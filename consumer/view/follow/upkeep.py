"""What goes on behind the requests: both topics followed into memory, health held against the clock, listeners woken.

It knows no HTTP. What must not end and ends all the same is told by `broken`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self

import structlog

from taskstream.consumer.view.follow.follow_progress import FollowProgress
from taskstream.consumer.view.follow.follower import Follower
from taskstream.consumer.view.http.sse_events import ChangeFeed
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.signal_decoder import RaisedSignals
from taskstream.consumer.view.read_model.signal_log import SignalLog
from taskstream.consumer.view.read_model.state_changes import StateChanges

JUDGE_INTERVAL_S: Final = 1.0
"""How often every task's health is held against the clock."""
TELL_INTERVAL_S: Final = 5.0
"""The least time between two lines of the log about one topic."""
_log = structlog.get_logger("taskstream.view")


class Upkeep:
    """`async with Upkeep(...)`: the board and the signals stay true meanwhile."""

    def __init__(
        self,
        model: ReadModel,
        signals: SignalLog,
        feed: ChangeFeed,
        of_states: Follower[StateChanges],
        of_signals: Follower[RaisedSignals],
        now_us: Callable[[], int],
    ) -> None:
        self._model = model
        self._signals = signals
        self._feed = feed
        self._of_states = of_states
        self._of_signals = of_signals
        self._now_us = now_us
        self.broken: str | None = None
        """What has ended that must not end. Only a restart mends that."""

    async def __aenter__(self) -> Self:
        self._stack = contextlib.AsyncExitStack()
        await self._stack.enter_async_context(self._of_states)
        await self._stack.enter_async_context(self._of_signals)
        for name, chore in (
            ("following the state topic", self._follow_states()),
            ("following the signals", self._follow_signals()),
            ("judging health", self._judge()),
        ):
            await self._stack.enter_async_context(self._kept_running(name, chore))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @contextlib.asynccontextmanager
    async def _kept_running(self, name: str, chore: Coroutine[Any, Any, None]) -> Any:
        def on_end(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                self.broken = f"{name} ended: {task.exception()!r}"
                _log.error("broken", what=name, exc_info=task.exception())

        task = asyncio.get_running_loop().create_task(chore)
        task.add_done_callback(on_end)
        yield
        task.cancel()
        await asyncio.wait([task])

    async def _follow_states(self) -> None:
        tell = _Teller("state", self._of_states.progress)
        while True:
            changes = await self._of_states.news()
            if changes is not None and (changes.keys or changes.dropped):
                self._model.apply(changes, self._now_us())
                self._feed.wake()
            tell(tasks=len(self._model.tasks), series=len(self._model.table))

    async def _follow_signals(self) -> None:
        tell = _Teller("signals", self._of_signals.progress)
        while True:
            heard = await self._of_signals.news()
            if heard is not None and heard.signals:
                self._model.mark_changed(self._signals.add(heard.signals))
                self._feed.wake()
            tell(signals=len(self._signals))

    async def _judge(self) -> None:
        while True:
            await asyncio.sleep(JUDGE_INTERVAL_S)
            before = self._model.version
            self._model.update_health(self._now_us())
            if self._model.version != before:
                self._feed.wake()


class _Teller:
    """Logs what is in the way of following a topic when that changes, and that the topic was read to its end."""

    def __init__(self, topic: str, progress: FollowProgress) -> None:
        self._topic = topic
        self._progress = progress
        self._told = progress.problem
        self._told_at_s = 0.0
        self._caught_up = False

    def __call__(self, **counts: int) -> None:
        if self._progress.caught_up and not self._caught_up:
            self._caught_up = True
            _log.info("caught_up", topic=self._topic, **counts)
        now_s = time.monotonic()
        if self._progress.problem != self._told and now_s - self._told_at_s >= TELL_INTERVAL_S:
            self._told, self._told_at_s = self._progress.problem, now_s
            _log.warning("kafka", topic=self._topic, problem=self._told or "none any more")
