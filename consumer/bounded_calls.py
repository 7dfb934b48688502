"""Makes blocking calls in a thread of its own, and abandons a call that does not return in time. It knows no Kafka."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
_Job = tuple[Callable[[], object], "Future[object]"]


class CallAbandoned(Exception):
    """The call did not return in time. It may still run, and holds what it uses."""


class BoundedCalls:
    """One call after another: `calls.make(lambda: producer.commit_transaction(10), limit_s=20)`.

    After an abandoned call the next one has a new thread; the old one ends when its call returns, or with the process.
    The limit is counted in waits and not by a clock, so the time in which the process was suspended does not count.
    """

    def __init__(self, interval_s: float = 0.5) -> None:
        self._interval_s = interval_s
        self._jobs: queue.SimpleQueue[_Job | None] | None = None

    def make(self, call: Callable[[], T], limit_s: float) -> T:
        """The result of `call`, or its error.

        Raises:
            CallAbandoned: it did not return within `limit_s`.
        """
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(target=_run, args=(self._jobs,), name="bounded-calls", daemon=True).start()
        result: Future[T] = Future()
        self._jobs.put((call, result))  # type: ignore[arg-type] # the queue holds calls of any result
        for _ in range(math.ceil(limit_s / self._interval_s)):
            with contextlib.suppress(TimeoutError):
                return result.result(self._interval_s)
            if result.done():  # in the meantime, or with a TimeoutError of its own
                return result.result()
        self.close()
        raise CallAbandoned(f"did not return within {limit_s:.0f} s")

    def close(self) -> None:
        """End the thread, when its call has returned."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None


def _run(jobs: queue.SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        call, result = job
        try:
            result.set_result(call())
        except BaseException as error:  # noqa: BLE001 (it is raised where the call was made)
            result.set_exception(error)
        del job, call, result  # the thread must not keep a producer alive
