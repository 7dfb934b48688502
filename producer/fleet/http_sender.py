"""A simulated fleet's reports over HTTP: lanes, each with a connection of its own; a task keeps to its lane."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from taskstream.producer.client.progress_client import ProgressClient
from taskstream.producer.errors import CallerRefused, EdgeError, EdgeUnavailable, ProducerError, TokenUnusable
from taskstream.producer.fleet.delivery_counts import DeliveryCounts
from taskstream.producer.fleet.fleet import FleetReport

TRY_FOR_S = 10.0
"""How long a report is tried; meanwhile its lane stands."""
WAITING = 8
"""Reports that may wait in one lane."""
_LOOK_S = 0.2


class HttpSender:
    """`with HttpWay(...) as way:`; see `taskstream.producer.fleet.sender.Way`.

    At the end it waits until all is answered. Once `hurry` is set, what waits is not sent and nothing is tried again.
    """

    def __init__(
        self, make_client: Callable[[], ProgressClient], counts: DeliveryCounts, lanes: int, hurry: threading.Event
    ) -> None:
        self._make_client = make_client
        self._counts = counts
        self._queues: list[queue.Queue[FleetReport]] = [queue.Queue(WAITING) for _ in range(lanes)]
        self._threads = [
            threading.Thread(target=self._run, args=(each,), name=f"lane-{number}", daemon=True)
            for number, each in enumerate(self._queues)
        ]
        self._closing = threading.Event()
        self._hurry = hurry
        self.rejected: ProducerError | None = None
        """Why nothing will ever be taken: the token is not."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._hurry.set()
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def send(self, order: FleetReport) -> bool:
        """See `Way`."""
        try:
            self._queues[order.task % len(self._queues)].put_nowait(order)
        except queue.Full:
            return False
        return True

    def wait_for_room(self) -> None:
        """See `Way`."""
        self._closing.wait(0.01)

    def _run(self, orders: queue.Queue[FleetReport]) -> None:
        with self._make_client() as client:
            while True:
                try:
                    order = orders.get(timeout=_LOOK_S)
                except queue.Empty:
                    if self._closing.is_set():
                        return
                    continue
                if self._hurry.is_set() or self.rejected is not None:
                    self._counts.skipped(taken=True)
                else:
                    self._report(client, order)

    def _report(self, client: ProgressClient, order: FleetReport) -> None:
        try:
            done = client.report(order.task_id, order.report, deadline_s=TRY_FOR_S, pause=self._pause)
        except (CallerRefused, TokenUnusable) as error:
            self.rejected = error
            self._counts.refused(order, 1, str(error))
        except EdgeUnavailable as error:
            self._counts.unanswered(order, error.attempts, str(error))
        except ProducerError as error:
            self._counts.refused(order, error.attempts if isinstance(error, EdgeError) else 1, str(error))
        else:
            self._counts.acknowledged(order, done.attempts)

    def _pause(self, seconds: float) -> bool:
        return not self._hurry.wait(seconds)
