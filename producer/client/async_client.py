"""The same client for programs with an event loop: each call runs in a thread, and ends with its task."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from taskstream.producer.client.progress_client import Acknowledgement, ProgressClient, Report

T = TypeVar("T")


class AsyncProgressClient:
    """`async with AsyncProgressClient(ProgressClient(edge, token)) as client: await client.report("t-1", report)`.

    At most `concurrency` calls run at once; others wait. A call whose task is cancelled sends no further request: the
    one that is under way may still be recorded, and its event id counts once.
    """

    def __init__(self, client: ProgressClient, *, concurrency: int = 8) -> None:
        """`client` is closed with this one."""
        self._client = client
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="progress-client")

    async def report(
        self, task_id: str, report: Report, *, deadline_s: float | None = None, event_id: str | None = None
    ) -> Acknowledgement:
        """Send a report and wait until the edge has recorded it; see `ProgressClient.report`.

        Raises:
            RequestRefused: the edge refuses the report for good; CallerRefused if it refuses the token.
            EdgeUnavailable: no final response within the deadline.
            TokenUnusable: the token is not usable as a header, or its file cannot be read.
        """
        return await self._call(
            lambda pause: self._client.report(task_id, report, deadline_s=deadline_s, event_id=event_id, pause=pause)
        )

    async def show_task(self, task_id: str, *, deadline_s: float | None = None) -> dict[str, Any]:
        """The task as a JSON object, as the view returns it; see `ProgressClient.show_task`.

        Raises:
            AnswerUnreadable: the response is 200 and not a JSON object. Other errors as for `report`.
        """
        return await self._call(lambda pause: self._client.show_task(task_id, deadline_s=deadline_s, pause=pause))

    async def close(self) -> None:
        """Wait for the calls that are under way, and close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, call: Callable[[Callable[[float], bool]], T]) -> T:
        given_up = threading.Event()

        def pause(seconds: float) -> bool:
            return not given_up.wait(seconds)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, pause))
        finally:
            given_up.set()
