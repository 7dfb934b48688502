"""The watchdog: it reports the call that hangs, once, by its name; calls that return are left alone."""

from __future__ import annotations

import subprocess
import sys
import threading

from taskstream.consumer.worker.watchdog import STUCK, Watchdog


class Reports:
    """What the watchdog reports, instead of ending the process."""

    def __init__(self) -> None:
        self.why: list[str] = []
        self._reported = threading.Event()

    def __call__(self, why: str) -> None:
        self.why.append(why)
        self._reported.set()

    def await_first(self) -> bool:
        return self._reported.wait(300)


def test_a_call_that_does_not_return_is_reported_by_its_name():
    reports = Reports()
    with Watchdog(reports, interval_s=0.01) as watchdog, watchdog.watch("commit_transaction", 0.05):
        assert reports.await_first()
    assert reports.why == ["commit_transaction did not return within 0 s"]


def test_an_inner_call_has_its_own_limit_and_the_outer_limit_goes_on_after_it():
    reports = Reports()
    with Watchdog(reports, interval_s=0.01) as watchdog, watchdog.watch("reading", 0.05):
        with watchdog.watch("restoring", 1_000):
            pass
        assert reports.await_first()
    assert reports.why[0].startswith("reading")


def test_the_time_of_an_inner_call_does_not_count_for_the_outer_one():
    reports, turns = Reports(), threading.Event()
    with Watchdog(reports, interval_s=0.01) as watchdog, watchdog.watch("reading", 5.0):
        with watchdog.watch("restoring", 1_000):
            watchdog._wakeups += 10_000  # the time that passes
        turns.wait(0.1)
        assert reports.why == []


def test_calls_that_return_are_left_alone():
    reports = Reports()
    with Watchdog(reports, interval_s=0.001) as watchdog:
        for _ in range(100):
            with watchdog.watch("commit", 1_000):
                pass
    assert reports.why == []


def test_by_default_it_ends_the_process_with_its_own_exit_code_and_a_last_line():
    code = (
        "import time; from taskstream.consumer.worker.watchdog import Watchdog\n"
        "with Watchdog(interval_s=0.01) as watchdog, watchdog.watch('commit', 0.05): time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == STUCK
    assert done.stderr.endswith("commit did not return within 0 s; ending so that a supervisor can start it again\n")
