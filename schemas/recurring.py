"""A step that an event loop repeats for as long as it runs, whatever becomes of one step. It knows no step."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable


class Recurring:
    """After `start`, the step is made every `interval_s` seconds until `stop`.

    A step that raises an error is reported to the loop's exception handler, and the next one is made all the same: a
    task that ends unseen would leave its work undone. Needs a running loop.
    """

    def __init__(
        self, name: str, step: Callable[[], Awaitable[None] | None], interval_s: float, *, at_once: bool = False
    ) -> None:
        """`at_once`: the first step is made now, and not after the first interval."""
        self._name = name
        self._step = step
        self._interval_s = interval_s
        self._at_once = at_once
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._repeat(), name=self._name)

    async def stop(self) -> None:
        """End, in the middle of a step if one waits. Does nothing before `start`."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _repeat(self) -> None:
        if self._at_once:
            await self._make()
        while True:
            await asyncio.sleep(self._interval_s)
            await self._make()

    async def _make(self) -> None:
        try:
            made = self._step()
            if made is not None:
                await made
        except Exception as error:  # noqa: BLE001 (reported, and its type is not ours to know)
            asyncio.get_running_loop().call_exception_handler({"message": f"{self._name} failed", "exception": error})
