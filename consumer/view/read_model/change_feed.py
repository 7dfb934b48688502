"""Wakes the event streams when the read model changes, and gives its versions the form of event ids. No I/O."""

from __future__ import annotations

import asyncio
import secrets


class ChangeFeed:
    """Wakes the streams when the model changes. `era` identifies this run of the view, whose versions it qualifies."""

    def __init__(self) -> None:
        self.era = secrets.token_hex(4)
        self.listeners = 0
        """Open streams."""
        self.cut = 0
        """Streams that were closed because their client did not read."""
        self._event = asyncio.Event()
        self.closed = False

    def wake(self) -> None:
        """Wake every stream."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    def close(self) -> None:
        """End every stream."""
        self.closed = True
        self.wake()

    async def wait(self, timeout_s: float) -> None:
        """Wait until `wake` is called, at most for the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return

    def event_id(self, version: int) -> str:
        """The id of an event, which the client sends back as Last-Event-ID."""
        return f"{self.era}-{version}"

    def version_of(self, event_id: str | None, latest: int) -> int | None:
        """The version that a client has: the latest when it sends no id, None when the id is not one of this run.

        A browser ends its stream for good at an error response: an id that cannot be read means to begin anew.
        """
        if event_id is None:
            return latest
        era, _, number = event_id.partition("-")
        if not (number.isascii() and number.isdigit() and len(number) < 19 and len(era) == len(self.era)):
            return None
        return int(number) if era == self.era and int(number) <= latest else None
