"""The stream of changes: told once however often they happened, taken up where it broke off, begun anew when it must."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

import pytest

from taskstream.consumer.view.http.sse_events import MOST_AT_ONCE, RENDERED_US, RenderedTasks, events
from taskstream.consumer.view.http.sse_response import MOST_LISTENERS, RETRY_AFTER_S, SseResponse
from taskstream.consumer.view.read_model.change_feed import ChangeFeed
from taskstream.consumer.view.read_model.read_model import GONE_KEPT, ReadModel
from taskstream.consumer.view.read_model.task_list import TaskFilter
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.caller import Caller, Role
from taskstream.schemas.http.request import HttpRequest
from tests.consumer.view.read_models import NOW, changes, model, row

OPERATOR = Caller("operations", frozenset({Role.OPERATE}))

ALL = TaskFilter()


def key(task: str) -> str:
    return f"{task}/MIGRATE_LINUX_FILE"


class Told:
    """What a listener was told, as a browser would read it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict]] = []
        self.last_id: str | None = None
        self.bytes = 0

    def take(self, part: bytes) -> None:
        self.bytes += len(part)
        assert part.endswith(b"\n\n")
        for block in part.decode().removesuffix("\n\n").split("\n\n"):
            assert "\ndata: " in block, f"an empty message for clients that are not browsers: {block!r}"
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                self.events.append((fields["event"], json.loads(fields["data"])))

    def named(self, *names: str) -> list[tuple[str, str | None]]:
        return [(name, data.get("task_id")) for name, data in self.events if name in names]


class Listening:
    """A board with one listener, read as far as it is asked to be."""

    def __init__(self, made: ReadModel, feed: ChangeFeed, wanted: TaskFilter = ALL, since: int | None = 0) -> None:
        self.model, self.feed, self.told = made, feed, Told()
        self._parts: AsyncIterator[bytes] = events(
            made, TaskNames(made), feed, wanted, since, lambda: {"lag_s": 0.0}, lambda: NOW
        )

    def put(self, *tasks: str, **columns) -> None:
        self.model.apply(changes({key(task): row(**columns) for task in tasks}), NOW)
        self.feed.wake()

    def drop(self, tasks: Iterable[str]) -> None:
        self.model.apply(changes({}, map(key, tasks)), NOW)
        self.feed.wake()

    async def read(self, until) -> Told:
        """Reads on until the listener was told this."""
        async with asyncio.timeout(300):
            while not until(self.told):
                self.told.take(await anext(self._parts))
        return self.told


def listening(*tasks: str, wanted: TaskFilter = ALL, since: int | None = 0) -> Listening:
    made = model({key(task): row() for task in tasks})
    return Listening(made, ChangeFeed(), wanted, made.version if since == 0 else since)


def test_a_change_is_told_with_the_whole_line_and_an_id_to_go_on_from():
    async def story() -> None:
        one = listening("p/a", "p/b")
        one.put("p/a", progress=77)
        told = await one.read(lambda told: told.named("task"))
        assert [(name, data["progress"]) for name, data in told.events if name == "task"] == [("task", 77)]
        assert told.last_id == one.feed.event_id(one.model.version)

    asyncio.run(story())


def test_a_task_that_changed_a_thousand_times_while_nobody_read_is_told_once():
    async def story() -> None:
        one = listening("p/a")
        for step in range(1000):
            one.put("p/a", progress=step % 100)
        told = await one.read(lambda told: told.named("task"))
        one.put("p/end")
        told = await one.read(lambda told: ("task", "end") in told.named("task"))
        assert told.named("task") == [("task", "a"), ("task", "end")]
        assert told.events[1][1]["progress"] == 99

    asyncio.run(story())


def test_who_names_the_last_event_gets_what_came_after_it_and_nothing_else():
    async def story() -> None:
        first = listening("p/a", "p/b", "p/c")
        first.put("p/a", progress=1)
        told = await first.read(lambda told: told.named("task"))
        first.put("p/b", progress=2)
        first.drop(["p/c"])
        since = first.feed.version_of(told.last_id, first.model.version)
        again = Listening(first.model, first.feed, since=since)
        told = await again.read(lambda told: len(told.named("task", "left")) == 2)
        assert sorted(told.named("task", "left", "reset")) == [("left", "c"), ("task", "b")]

    asyncio.run(story())


def test_a_view_that_reads_the_past_sends_beats_and_then_the_client_begins_anew_also_in_another_connection():
    async def story() -> None:
        made, feed, current = model({key("p/a"): row()}), ChangeFeed(), False
        parts = events(
            made, TaskNames(made), feed, ALL, 0, lambda: {"lag_s": 0.0}, lambda: NOW, is_current=lambda: current
        )
        told = Told()
        told.take(await anext(parts))
        assert [name for name, _ in told.events] == ["beat"]
        assert feed.version_of(told.last_id, made.version) is None
        made.apply(changes({key("p/a"): row(progress=77)}), NOW)
        current = True
        feed.wake()
        async with asyncio.timeout(300):
            told.take(await anext(parts))
        assert [name for name, _ in told.events] == ["beat", "reset", "beat"]
        assert told.last_id == feed.event_id(made.version)

    asyncio.run(story())


def test_a_view_that_ends_while_it_reads_the_past_ends_its_streams():
    async def story() -> None:
        made, feed = model({key("p/a"): row()}), ChangeFeed()
        parts = events(made, TaskNames(made), feed, ALL, None, dict, lambda: NOW, is_current=lambda: False)
        await anext(parts)
        feed.close()
        async with asyncio.timeout(300):
            assert [part async for part in parts] == []

    asyncio.run(story())


def test_an_id_of_another_run_of_the_view_begins_anew():
    async def story() -> None:
        one = listening("p/a")
        since = one.feed.version_of(ChangeFeed().event_id(1), one.model.version)
        assert since is None
        told = await Listening(one.model, one.feed, since=since).read(lambda told: told.named("beat"))
        assert told.events[0][0] == "reset"

    asyncio.run(story())


def test_an_id_from_the_future_of_this_run_begins_anew_too():
    feed = ChangeFeed()
    assert feed.version_of(feed.event_id(8), 7) is None
    assert feed.version_of(feed.event_id(7), 7) == 7
    assert feed.version_of(None, 7) == 7


@pytest.mark.parametrize("text", ["x", "12345678-", "12345678-x", "-1", "12345678-" + "9" * 30, "1234-5"])
def test_what_is_no_id_begins_anew(text):
    assert ChangeFeed().version_of(text, 7) is None


def test_more_changes_than_go_out_at_once_all_arrive_in_pieces():
    async def story() -> None:
        names = [f"p/{number:04d}" for number in range(2 * MOST_AT_ONCE + 7)]
        one = listening(*names)
        one.put(*names, progress=9)
        told = await one.read(lambda told: len(told.named("task")) == len(names))
        assert {f"p/{task}" for _, task in told.named("task")} == set(names)

    asyncio.run(story())


def test_one_that_is_no_longer_chosen_leaves_and_comes_back():
    async def story() -> None:
        one = listening("p/a", wanted=TaskFilter(subtasks=frozenset({"MIGRATE_LINUX_FILE"})))
        one.model.apply(changes({"p/a/SYNC_LINUX_FILE": row(last_seen=NOW)}), NOW)
        told = await one.read(lambda told: told.named("left"))
        assert told.named("task", "left") == [("left", "a")]
        one.drop(["p/none"])
        one.model.apply(changes({}, ["p/a/SYNC_LINUX_FILE"]), NOW)
        one.feed.wake()
        told = await one.read(lambda told: told.named("task"))
        assert told.named("task", "left") == [("left", "a"), ("task", "a")]

    asyncio.run(story())


def test_a_project_hears_of_no_other():
    async def story() -> None:
        one = listening("p/a", "q/b", "q/c", wanted=TaskFilter(projects=frozenset({"p"})))
        one.put("q/b", progress=3)
        one.drop(["q/c"])
        one.put("p/a", progress=4)
        told = await one.read(lambda told: told.named("task"))
        assert told.named("task", "left") == [("task", "a")]
        assert "q" not in {data.get("project_id") for _, data in told.events}

    asyncio.run(story())


@pytest.mark.slow
def test_who_missed_more_departures_than_are_remembered_begins_anew():
    async def story() -> None:
        one = listening("p/a")
        crowd = [f"p/{number}" for number in range(GONE_KEPT + 5)]
        one.put(*crowd)
        one.drop(crowd)
        told = await one.read(lambda told: told.named("reset"))
        assert told.named("left") == []
        assert len(one.model.gone) == GONE_KEPT

    asyncio.run(story())


def test_a_signal_of_a_task_is_a_change_of_it():
    async def story() -> None:
        one = listening("p/a")
        one.model.mark_changed([("p", "a"), ("p", "gone")])
        one.feed.wake()
        assert (await one.read(lambda told: told.named("task"))).named("task") == [("task", "a")]

    asyncio.run(story())


class Line:
    """An open connection whose reader takes as much as it wants; `gone` is set when it goes away."""

    def __init__(self, takes: int) -> None:
        self.sent: list[dict] = []
        self.gone = asyncio.Event()
        self.third = asyncio.Event()
        self._takes = takes

    async def send(self, message: dict) -> None:
        if len(self.sent) >= self._takes:
            await asyncio.Event().wait()
        self.sent.append(message)
        if len(self.sent) == 3:
            self.third.set()

    async def receive(self) -> dict:
        await self.gone.wait()
        return {"type": "http.disconnect"}


def streaming(made: ReadModel, feed: ChangeFeed) -> SseResponse:
    return SseResponse(made, TaskNames(made), feed, dict, lambda: NOW, send_timeout_s=0.05)


def test_a_reader_that_stops_is_cut_and_counted_and_its_place_is_free_again():
    async def story() -> None:
        made, feed = model({key("p/a"): row()}), ChangeFeed()
        line = Line(takes=2)
        async with asyncio.timeout(300):
            await streaming(made, feed).run(HttpRequest("GET", b"/stream", b"", []), OPERATOR, line.receive, line.send)
        assert (feed.cut, feed.listeners) == (1, 0)
        assert len(line.sent) == 2

    asyncio.run(story())


def test_a_reader_that_goes_away_frees_its_place_and_is_not_counted_as_cut():
    async def story() -> None:
        made, feed = model({key("p/a"): row()}), ChangeFeed()
        line = Line(takes=100)
        line.gone.set()
        async with asyncio.timeout(300):
            await streaming(made, feed).run(HttpRequest("GET", b"/stream", b"", []), OPERATOR, line.receive, line.send)
        assert (feed.cut, feed.listeners) == (0, 0)

    asyncio.run(story())


def test_no_more_streams_than_the_bound():
    async def story() -> None:
        made, feed = model({key("p/a"): row()}), ChangeFeed()
        feed.listeners = MOST_LISTENERS
        line = Line(takes=100)
        with pytest.raises(ApiError, match="streams are open already"):
            await streaming(made, feed).run(HttpRequest("GET", b"/stream", b"", []), OPERATOR, line.receive, line.send)
        assert line.sent == []

    asyncio.run(story())


def asking(project: str, *, anonymous: bool = False) -> Caller:
    return Caller(project, frozenset({Role.READ}), anonymous)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "third"),
    [
        ((asking("p"), "10.0.0.1"), (asking("p"), "10.0.0.2"), (asking("q"), "10.0.0.1")),
        (
            (asking("p", anonymous=True), "10.0.0.1"),
            (asking("p", anonymous=True), "10.0.0.1"),
            (asking("p", anonymous=True), "10.0.0.2"),
        ),
    ],
    ids=["of a project", "of an address, where nobody has a name"],
)
def test_the_streams_of_one_leave_room_for_those_of_another(first, second, third):
    async def story() -> None:
        made, feed = model({key("p/a"): row()}), ChangeFeed()
        response = SseResponse(made, TaskNames(made), feed, dict, lambda: NOW, per_project=1)
        request = HttpRequest("GET", b"/stream", b"", [])
        lines, running = [], []

        def opened(caller: Caller, address: str) -> None:
            lines.append(Line(takes=100))
            running.append(
                asyncio.create_task(response.run(request, caller, lines[-1].receive, lines[-1].send, address))
            )

        async with asyncio.timeout(300):
            opened(*first)
            await lines[0].third.wait()
            with pytest.raises(ApiError, match="has 1 streams open already") as refused:
                await response.run(request, second[0], lines[0].receive, lines[0].send, second[1])
            problem = refused.value.problem
            assert (problem.kind.status, problem.retry_after_s) == (429, RETRY_AFTER_S)
            opened(*third)
            await lines[1].third.wait()
            lines[0].gone.set()
            await running[0]
            opened(*second)
            await lines[2].third.wait()
            feed.close()
            await asyncio.gather(*running)
        assert feed.listeners == 0

    asyncio.run(story())


def test_streams_share_the_work_of_events_for_a_second_and_no_longer():
    async def story() -> None:
        made, now_us = model({key("p/a"): row()}), NOW
        rendered = RenderedTasks(made, lambda: now_us)
        first = rendered.event_of(0)
        assert rendered.event_of(0) is first
        now_us += RENDERED_US
        assert rendered.event_of(0) is not first
        again = rendered.event_of(0)
        made.apply(changes({key("p/a"): row(progress=77)}), NOW)
        assert b'"progress":77' in rendered.event_of(0)
        assert b'"progress":77' not in again

    asyncio.run(story())


def test_a_view_that_ends_ends_its_streams_in_order():
    async def story() -> None:
        made, feed = model({key("p/a"): row()}), ChangeFeed()
        line = Line(takes=100)
        open_stream = asyncio.create_task(
            streaming(made, feed).run(HttpRequest("GET", b"/stream", b"", []), OPERATOR, line.receive, line.send)
        )
        async with asyncio.timeout(300):
            await line.third.wait()
        feed.close()
        async with asyncio.timeout(300):
            await open_stream
        assert line.sent[-1] == {"type": "http.response.body", "body": b""}

    asyncio.run(story())
