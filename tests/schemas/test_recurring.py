"""A step is repeated whatever becomes of one."""

from __future__ import annotations

import asyncio

from taskstream.schemas.recurring import Recurring
from tests.waiting import LIMIT_S


def test_a_step_that_fails_is_reported_and_the_next_one_is_made():
    async def run() -> tuple[int, list[str]]:
        made, reported, done = 0, [], asyncio.Event()

        async def step() -> None:
            nonlocal made
            made += 1
            if made == 2:
                raise RuntimeError("the second one")
            if made == 3:
                done.set()

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(f"{context['message']}: {context['exception']}"))
        steps = Recurring("the step", step, 0.001)
        steps.start()
        await asyncio.wait_for(done.wait(), LIMIT_S)
        await steps.stop()
        ended_at = made
        await asyncio.sleep(0.01)
        return made - ended_at, reported

    assert asyncio.run(run()) == (0, ["the step failed: the second one"])


def test_the_first_step_can_be_made_at_once_and_a_waiting_one_is_ended():
    async def run() -> bool:
        begun = asyncio.Event()

        async def step() -> None:
            begun.set()
            await asyncio.Event().wait()

        steps = Recurring("the step", step, LIMIT_S, at_once=True)
        steps.start()
        await asyncio.wait_for(begun.wait(), LIMIT_S)
        await steps.stop()
        return True

    assert asyncio.run(run())


def test_stopping_what_never_began_does_nothing():
    async def run() -> bool:
        await Recurring("the step", lambda: None, 1.0).stop()
        return True

    assert asyncio.run(run())
