"""Reports beside the copy, in a thread of its own: a slow edge delays reports and never the copy."""

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
    """Sends what `take` gives every `interval_s`, and the last report of each subtask, in order.

    A report on the way is dropped when the edge cannot take it within `try_for_s`: the next one says more. A
    last report stays, under its event id, until it is acknowledged, refused, or `close` has run out of time;
    nothing overtakes it. While the edge asks to be left alone, it is.
    """

    def __init__(
        self,
        client: ProgressClient,
        task_id: str,
        take: Callable[[], Report | None],
        *,
        interval_s: float,
        warn: Callable[[str], None],
        try_for_s: float = 10.0,
    ) -> None:
        """`take` and `warn` are called in the reporter's thread; `warn` once for each new kind of trouble."""
        self._client = client
        self._task_id = task_id
        self._take = take
        self._interval_s = interval_s
        self._warn = warn
        self._try_for_s = try_for_s
        self._warned: set[str] = set()
        self._changed = threading.Condition()
        self._last: deque[tuple[Report, str]] = deque()
        self._due_s = self._quiet_until_s = time.monotonic()
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

    def deliver(self, report: Report) -> None:
        """Queue the last report of a subtask and return at once."""
        with self._changed:
            self._last.append((report, str(uuid.uuid4())))
            self._changed.notify()

    def close(self, *, within_s: float) -> ReportCounts:
        """Deliver what is queued, for at most that long, and stop. A second call changes nothing."""
        with self._changed:
            if self._close_by_s is None:
                self._close_by_s = time.monotonic() + within_s
            self._changed.notify()
        self._thread.join(within_s + 1.0)
        with self._changed:
            waiting = [report.subtask_name for report, _ in self._last]
            return ReportCounts(
                acknowledged=self._acknowledged,
                retried=self._retried,
                failed=self._failed + len(waiting),
                undelivered=(*self._undelivered, *waiting),
            )

    def _run(self) -> None:
        while (due := self._next()) is not None:
            report, event_id, is_last = due
            try:
                self._send(report, event_id, is_last=is_last)
            except EdgeUnavailable as error:
                overtaken = self._last and not is_last
                quiet_s = error.retry_after_s or (0.0 if overtaken else self._interval_s)
                self._quiet_until_s = time.monotonic() + quiet_s
                self._count(error, is_last=is_last, again=is_last)
            except ProducerError as error:
                self._count(error, is_last=is_last, again=False)

    def _next(self) -> tuple[Report, str, bool] | None:
        """Wait for the next report that is due; None when there will be none."""
        with self._changed:
            while True:
                now_s = time.monotonic()
                closing = self._close_by_s is not None
                if closing and (not self._last or max(now_s, self._quiet_until_s) >= (self._close_by_s or 0.0)):
                    return None
                ready_s = self._quiet_until_s if self._last else max(self._quiet_until_s, self._due_s)
                if now_s < ready_s:
                    self._changed.wait(ready_s - now_s)
                    continue
                if self._last:
                    report, event_id = self._last[0]
                    return report, event_id, True
                self._due_s = now_s + self._interval_s
                taken = self._take()
                if taken is not None:
                    return taken, str(uuid.uuid4()), False

    def _send(self, report: Report, event_id: str, *, is_last: bool) -> None:
        left_s = self._try_for_s if self._close_by_s is None else self._close_by_s - time.monotonic()
        acknowledgement = self._client.report(
            self._task_id,
            report,
            deadline_s=min(self._try_for_s, left_s),
            event_id=event_id,
            pause=lambda seconds: self._pause(seconds, is_last=is_last),
        )
        with self._changed:
            self._acknowledged += 1
            self._retried += acknowledgement.attempts - 1
            if is_last:
                self._last.popleft()

    def _pause(self, seconds: float, *, is_last: bool) -> bool:
        """Wait before a retry; False when the time is up, or when a last report waits behind another one."""
        until_s = time.monotonic() + seconds
        with self._changed:
            while True:
                now_s = time.monotonic()
                if (self._last and not is_last) or (self._close_by_s is not None and now_s >= self._close_by_s):
                    return False
                if now_s >= until_s:
                    return True
                self._changed.wait(min(until_s, self._close_by_s or until_s) - now_s)

    def _count(self, error: ProducerError, *, is_last: bool, again: bool) -> None:
        attempts = error.attempts if isinstance(error, EdgeError) else 1
        with self._changed:
            self._retried += attempts if again else attempts - 1
            self._failed += not again
            if is_last and not again:
                self._undelivered.append(self._last.popleft()[0].subtask_name)
        kind = f"{type(error).__name__} {error.status if isinstance(error, EdgeError) else ''}"
        if kind not in self._warned:
            self._warned.add(kind)
            self._warn(str(error))
