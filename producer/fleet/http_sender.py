"""Sends a fleet's reports to an edge over HTTP, on several lanes. It knows no Kafka.

A lane is a queue, a thread and a client with one connection. All reports of a task use the same lane, so they stay in
order.
"""

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

REPORT_DEADLINE_S = 10.0
"""How long one report is retried; the reports behind it in its lane wait."""
LANE_QUEUE_SIZE = 8
_POLL_S = 0.2


class HttpSender:
    """A `taskstream.producer.fleet.sender.Sender`; use it as a context manager.

    Its exit waits for the responses of all accepted reports. Once `abort` is set, queued reports are skipped and
    nothing is retried.
    """

    def __init__(
        self, make_client: Callable[[], ProgressClient], counts: DeliveryCounts, lanes: int, abort: threading.Event
    ) -> None:
        self._make_client = make_client
        self._counts = counts
        self._queues: list[queue.Queue[FleetReport]] = [queue.Queue(LANE_QUEUE_SIZE) for _ in range(lanes)]
        self._threads = [
            threading.Thread(target=self._run, args=(each,), name=f"lane-{number}", daemon=True)
            for number, each in enumerate(self._queues)
        ]
        self._closing = threading.Event()
        self._abort = abort
        self.token_error: ProducerError | None = None
        """Set once the edge refuses the token, or the token is unusable: every further report would fail too."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abort.set()
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def send(self, fleet_report: FleetReport) -> bool:
        """See `Sender`."""
        try:
            self._queues[fleet_report.task % len(self._queues)].put_nowait(fleet_report)
        except queue.Full:
            return False
        return True

    def wait_for_room(self) -> None:
        """See `Sender`."""
        self._closing.wait(0.01)

    def _run(self, lane: queue.Queue[FleetReport]) -> None:
        with self._make_client() as client:
            while True:
                try:
                    fleet_report = lane.get(timeout=_POLL_S)
                except queue.Empty:
                    if self._closing.is_set():
                        return
                    continue
                if self._abort.is_set() or self.token_error is not None:
                    self._counts.add_skipped(accepted=True)
                else:
                    self._report(client, fleet_report)

    def _report(self, client: ProgressClient, sent: FleetReport) -> None:
        try:
            done = client.report(sent.task_id, sent.report, deadline_s=REPORT_DEADLINE_S, pause=self._pause)
        except (CallerRefused, TokenUnusable) as error:
            self.token_error = error
            self._counts.add_refused(sent, 1, str(error))
        except EdgeUnavailable as error:
            self._counts.add_unanswered(sent, error.attempts, str(error))
        except ProducerError as error:
            self._counts.add_refused(sent, error.attempts if isinstance(error, EdgeError) else 1, str(error))
        else:
            self._counts.add_acknowledged(sent, done.attempts)

    def _pause(self, seconds: float) -> bool:
        return not self._abort.wait(seconds)
