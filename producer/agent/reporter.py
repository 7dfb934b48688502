"""Sends the reports of a copy in a thread of its own, so that a slow edge delays reports but never the copy."""

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from taskstream.producer.agent.job import ReportCounts
from taskstream.producer.client.progress_client import ProgressClient, Report
from taskstream.producer.errors import EdgeError, EdgeUnavailable, ProducerError


class Reporter:
    """Sends the result of `current_report` every `interval_s`, and the final report of each subtask, in order.

    An interim report is dropped if the edge does not acknowledge it within `try_for_s`, because the next one
    supersedes it. A final report is retried with the same event id until it is acknowledged or refused, or until
    `close` times out; no other report is sent before it. The edge's Retry-After is obeyed.
    """

    def __init__(
        self,
        client: ProgressClient,
        task_id: str,
        current_report: Callable[[], Report | None],
        *,
        interval_s: float,
        warn: Callable[[str], None],
        try_for_s: float = 10.0,
    ) -> None:
        """`current_report` and `warn` are called in the reporter's thread; `warn` once for each kind of error."""
        self._client = client
        self._task_id = task_id
        self._current_report = current_report
        self._interval_s = interval_s
        self._warn = warn
        self._try_for_s = try_for_s
        self._warned: set[str] = set()
        self._changed = threading.Condition()
        self._finals: deque[tuple[Report, str]] = deque()
        """Final reports that are not delivered yet, each with its event id."""
        self._due_s = self._retry_at_s = time.monotonic()
        self._close_by_s: float | None = None
        self._acknowledged = self._retried = self._failed = 0
        self._undelivered: list[str] = []
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(within_s=0.0)

    def queue_final(self, report: Report) -> None:
        """Queue the final report of a subtask; returns at once."""
        with self._changed:
            self._finals.append((report, str(uuid.uuid4())))
            self._changed.notify()

    def close(self, *, within_s: float) -> ReportCounts:
        """Send the queued final reports for at most `within_s` seconds, and stop. A second call changes nothing."""
        with self._changed:
            if self._close_by_s is None:
                self._close_by_s = time.monotonic() + within_s
            self._changed.notify()
        self._thread.join(within_s + 1.0)
        with self._changed:
            waiting = [report.subtask_name for report, _ in self._finals]
            return ReportCounts(
                acknowledged=self._acknowledged,
                retried=self._retried,
                failed=self._failed + len(waiting),
                undelivered=(*self._undelivered, *waiting),
            )

    def _run(self) -> None:
        while (due := self._next()) is not None:
            report, event_id, is_final = due
            try:
                self._send(report, event_id, is_final=is_final)
            except EdgeUnavailable as error:
                superseded = self._finals and not is_final
                wait_s = error.retry_after_s or (0.0 if superseded else self._interval_s)
                self._retry_at_s = time.monotonic() + wait_s
                self._count_failure(error, is_final=is_final, retry=is_final)
            except ProducerError as error:
                self._count_failure(error, is_final=is_final, retry=False)

    def _next(self) -> tuple[Report, str, bool] | None:
        """Wait until a report is due; return it, its event id, and whether it is final. None ends the thread."""
        with self._changed:
            while True:
                now_s = time.monotonic()
                closing = self._close_by_s is not None
                if closing and (not self._finals or max(now_s, self._retry_at_s) >= (self._close_by_s or 0.0)):
                    return None
                ready_s = self._retry_at_s if self._finals else max(self._retry_at_s, self._due_s)
                if now_s < ready_s:
                    self._changed.wait(ready_s - now_s)
                    continue
                if self._finals:
                    report, event_id = self._finals[0]
                    return report, event_id, True
                self._due_s = now_s + self._interval_s
                current = self._current_report()
                if current is not None:
                    return current, str(uuid.uuid4()), False

    def _send(self, report: Report, event_id: str, *, is_final: bool) -> None:
        left_s = self._try_for_s if self._close_by_s is None else self._close_by_s - time.monotonic()
        acknowledgement = self._client.report(
            self._task_id,
            report,
            deadline_s=min(self._try_for_s, left_s),
            event_id=event_id,
            pause=lambda seconds: self._pause(seconds, is_final=is_final),
        )
        with self._changed:
            self._acknowledged += 1
            self._retried += acknowledgement.attempts - 1
            if is_final:
                self._finals.popleft()

    def _pause(self, seconds: float, *, is_final: bool) -> bool:
        """Wait before a retry; False if `close` times out, or if a final report supersedes this interim one."""
        until_s = time.monotonic() + seconds
        with self._changed:
            while True:
                now_s = time.monotonic()
                if (self._finals and not is_final) or (self._close_by_s is not None and now_s >= self._close_by_s):
                    return False
                if now_s >= until_s:
                    return True
                self._changed.wait(min(until_s, self._close_by_s or until_s) - now_s)

    def _count_failure(self, error: ProducerError, *, is_final: bool, retry: bool) -> None:
        attempts = error.attempts if isinstance(error, EdgeError) else 1
        with self._changed:
            self._retried += attempts if retry else attempts - 1
            self._failed += not retry
            if is_final and not retry:
                self._undelivered.append(self._finals.popleft()[0].subtask_name)
        kind = f"{type(error).__name__} {error.status if isinstance(error, EdgeError) else ''}"
        if kind not in self._warned:
            self._warned.add(kind)
            self._warn(str(error))
