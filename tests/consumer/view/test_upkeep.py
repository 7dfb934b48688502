"""What goes on behind the requests: an end of it that nobody meant is told, and makes the view unready."""

from __future__ import annotations

import asyncio
import json

from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.view.follow.follow_progress import FollowProgress
from taskstream.consumer.view.follow.follower import Follower
from taskstream.consumer.view.http.application import View
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.schemas.http.caller import Caller, Role


class Records:
    """A topic at its end."""

    def __init__(self, batch=()) -> None:
        self.progress = FollowProgress()
        self.progress.begin({0: 0}, {0: 0})
        self._batch = list(batch)

    def batch(self) -> list:
        batch, self._batch = self._batch, []
        return batch

    def close(self) -> None:
        """Nothing is open."""


class Breaks:
    """A reader with a mistake in it."""

    def decode(self, _records):
        raise ZeroDivisionError("a mistake")


class Everybody:
    async def authenticate(self, _request, _body) -> Caller:
        return Caller("operations", frozenset({Role.OPERATE}))


async def asked(view: View, path: str) -> tuple[int, dict]:
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request"}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "raw_path": path.encode(), "query_string": b"", "headers": []}
    await view(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


async def answers(view: View, *paths: str) -> list[tuple[int, dict]]:
    """What a living view answers once it has settled: it is given the chance to break first."""
    stop, began = asyncio.Event(), asyncio.Event()
    first = True

    async def receive() -> dict:
        nonlocal first
        if first:
            first = False
            return {"type": "lifespan.startup"}
        await stop.wait()
        return {"type": "lifespan.shutdown"}

    async def send(message: dict) -> None:
        began.set()

    life = asyncio.create_task(view({"type": "lifespan"}, receive, send))
    async with asyncio.timeout(300):
        await began.wait()
        while (await asked(view, "/readyz"))[1]["checks"]["caught_up"] == "no":
            if (await asked(view, "/healthz"))[0] != 200:
                break
            await asyncio.sleep(0.01)
        found = [await asked(view, path) for path in paths]
        stop.set()
        await life
    return found


def test_a_view_with_nothing_to_read_is_ready_and_alive():
    view = View(ReadModel(Settings()), Follower(Records(), Breaks()), Follower(Records(), Breaks()), Everybody())
    statuses = [status for status, _ in asyncio.run(answers(view, "/healthz", "/readyz", "/tasks"))]
    assert statuses == [200, 200, 200]


def test_following_that_ended_is_told_and_nobody_is_answered_with_what_is_old():
    view = View(ReadModel(Settings()), Follower(Records(["x"]), Breaks()), Follower(Records(), Breaks()), Everybody())
    alive, ready, tasks = asyncio.run(answers(view, "/healthz", "/readyz", "/tasks"))
    assert (alive[0], ready[0], tasks[0]) == (503, 503, 503)
    assert "following the state topic ended: ZeroDivisionError" in ready[1]["checks"]["upkeep"]
    assert "must be restarted" in tasks[1]["error_msg"]
    assert "a mistake" not in str((alive, ready, tasks)), "the text of an exception is for the log alone"
