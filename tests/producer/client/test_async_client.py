"""The asynchronous client against the same server; the rest is the blocking client's, and tested there."""

from __future__ import annotations

import asyncio

import pytest

from taskstream.producer.client.async_client import AsyncProgressClient
from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.client.progress_client import ProgressClient, Report
from taskstream.producer.client.retry_policy import RetryPolicy
from taskstream.producer.errors import RequestRefused
from tests.producer.client.scripted_edge import ScriptedEdge, ScriptedResponse, error
from tests.waiting import LIMIT_S, wait_until

REPORT = Report("MIGRATE_LINUX_FILE", 50, 500, 1000, "half way")


def client_of(edge: ScriptedEdge, **policy: float) -> AsyncProgressClient:
    blocking = ProgressClient(edge.url, AuthToken.of("secret"), policy=RetryPolicy(**policy), random=lambda: 0.5)
    return AsyncProgressClient(blocking, concurrency=4)


def test_reports_of_many_tasks_are_acknowledged_while_the_loop_goes_on():
    async def report_all(edge: ScriptedEdge) -> tuple[set[str], int]:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with client_of(edge) as client:
            counting = asyncio.create_task(count())
            done = await asyncio.gather(*(client.report(f"t-{number}", REPORT) for number in range(20)))
            counting.cancel()
        return {each.event_id for each in done}, turns

    with ScriptedEdge() as edge:
        event_ids, turns = asyncio.run(report_all(edge))
    assert len(event_ids) == 20
    assert {request.headers["Idempotency-Key"] for request in edge.requests} == event_ids
    assert {request.path for request in edge.requests} == {f"/v3/tasks/t-{number}/progress" for number in range(20)}
    assert turns > 0


def test_a_refusal_is_raised_and_a_task_is_shown():
    async def ask(edge: ScriptedEdge) -> dict:
        async with client_of(edge) as client:
            with pytest.raises(RequestRefused, match="no such subtask"):
                await client.report("t-1", REPORT)
            return await client.show_task("t-1")

    with ScriptedEdge(error(400, "SMS.0400", "no such subtask"), ScriptedResponse(200, body=b'{"id": "t-1"}')) as edge:
        assert asyncio.run(ask(edge)) == {"id": "t-1"}


def test_a_cancelled_call_sends_no_further_request():
    """The edge is busy for ever, and asks for hours of patience."""

    async def give_up(edge: ScriptedEdge) -> int:
        async with client_of(edge, deadline_s=100_000.0) as client:
            reporting = asyncio.create_task(client.report("t-1", REPORT))
            await asyncio.to_thread(wait_until, lambda: edge.requests)
            reporting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reporting
        return len(edge.requests)

    busy = error(503, "SMS.0503", "Kafka is away", **{"Retry-After": "3600"})
    with ScriptedEdge(always=busy) as edge:
        assert asyncio.run(asyncio.wait_for(give_up(edge), LIMIT_S)) == 1
