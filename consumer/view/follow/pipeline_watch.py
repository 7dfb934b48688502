"""Asks Kafka every few seconds, from a thread of its own, which reports no worker has read. It judges nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol, Self

import structlog

from taskstream.consumer.kafka.consumer_groups import PartitionLag
from taskstream.consumer.view.read_model.pipeline_lag import UnreadReports

ASK_INTERVAL_S: Final = 3.0
_JOIN_S: Final = 1.0
_log = structlog.get_logger("taskstream.view")


class UnreadQuestion(Protocol):
    """Asks how far a group is behind."""

    def unread(self, group: str, topic: str) -> Sequence[PartitionLag]:
        """The lag of the group on every partition of the topic."""
        ...


class PipelineWatch:
    """`async with PipelineWatch(...) as watch`: inside, `watch.answer` is Kafka's last answer.

    The thread is a daemon: a question that Kafka does not answer must not delay the end of the process.
    """

    def __init__(
        self,
        question: UnreadQuestion,
        group: str,
        topic: str,
        limit_s: float,
        now_us: Callable[[], int],
        interval_s: float = ASK_INTERVAL_S,
    ) -> None:
        self._question = question
        self._group = group
        self._topic = topic
        self._now_us = now_us
        self._interval_s = interval_s
        self.limit_s = limit_s
        """How many seconds behind are normal."""
        self.answer: UnreadReports | None = None
        """The last answer; None before the first. The thread replaces it as a whole."""
        self._answered = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join, _JOIN_S)

    async def first_answer(self, timeout_s: float) -> None:
        """Wait until there is an answer, at most for the timeout."""
        await asyncio.get_running_loop().run_in_executor(None, self._answered.wait, timeout_s)

    def _run(self) -> None:
        problem: str | None = None
        while not self._stopping.is_set():
            self.answer = self._ask()
            self._answered.set()
            if self.answer.problem != problem:
                problem = self.answer.problem
                _log.warning("workers", group=self._group, problem=problem or "none any more")
            self._stopping.wait(self._interval_s)

    def _ask(self) -> UnreadReports:
        try:
            lags = self._question.unread(self._group, self._topic)
        except Exception as error:  # noqa: BLE001 (whatever fails leaves the question unanswered, and the view alive)
            return UnreadReports(self._now_us(), problem=str(error) or repr(error))
        oldest_ms = [each.oldest_ms for each in lags if each.oldest_ms is not None]
        oldest_us = min(oldest_ms) * 1000 if oldest_ms else None
        return UnreadReports(self._now_us(), sum(each.records for each in lags), oldest_us)
