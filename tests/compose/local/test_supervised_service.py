"""When a service is restarted, by a clock that the test controls."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from taskstream.compose.local.supervised_service import (
    Backoff,
    Service,
    ServiceDied,
    ServiceReady,
    ServiceStopped,
    SupervisedService,
)
from tests.waiting import wait_until

FOREVER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {FOREVER}"


@pytest.fixture
def supervise(tmp_path):
    """Supervises Python programs; kills them after the test."""
    services: list[SupervisedService] = []

    def make(program: str, *, ready=lambda: True, **options) -> SupervisedService:
        service = Service("it", (sys.executable, "-c", program), ready, **options)
        services.append(SupervisedService(service, tmp_path / "it.log", Backoff(1.0, 5.0, 30.0)))
        return services[-1]

    yield make
    for service in services:
        service.stop(lambda: True)


def next_event(service: SupervisedService, now_s: float):
    """The next event at `now_s` of the service's clock, awaited in real time."""
    return wait_until(lambda: service.poll(now_s))


def test_the_delay_doubles_up_to_its_limit():
    backoff = Backoff(first_s=0.5, limit_s=3.0)
    assert [backoff.delay_s(deaths) for deaths in (1, 2, 3, 4, 1000)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_it_reports_ready_once(supervise):
    service = supervise(FOREVER)
    assert isinstance(next_event(service, 0.0), ServiceReady)
    assert service.poll(1.0) is None


def test_a_death_is_reported_with_its_code_and_last_lines(supervise):
    service = supervise("print('alas', flush=True); raise SystemExit(3)", ready=lambda: False)
    assert next_event(service, 0.0) == ServiceDied("it", 3, "alas", was_ready=False, restart_in_s=1.0)


def test_a_kill_is_reported_as_its_signal(supervise):
    service = supervise("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ready=lambda: False)
    assert next_event(service, 0.0).code == -signal.SIGKILL


def test_the_last_lines_are_those_of_the_last_process(supervise, tmp_path):
    (tmp_path / "it.log").write_text("an older story\n")
    service = supervise("raise SystemExit(3)", ready=lambda: False)
    assert next_event(service, 0.0).last_lines == ""


def test_it_is_restarted_after_the_delay(supervise):
    service = supervise("raise SystemExit(3)", ready=lambda: False)
    next_event(service, 10.0)
    assert (service.poll(10.9), service.pid) == (None, None)
    assert isinstance(next_event(service, 11.0), ServiceDied)


def test_consecutive_deaths_have_longer_delays_and_a_long_run_resets_them(supervise):
    service = supervise("raise SystemExit(3)", ready=lambda: False)
    waits, now_s = [], 0.0
    for _ in range(4):
        waits.append(next_event(service, now_s).restart_in_s)
        now_s += waits[-1]
    assert waits == [1.0, 2.0, 4.0, 5.0]
    service.poll(now_s)
    assert next_event(service, now_s + 31.0).restart_in_s == 1.0


def test_it_is_ready_again_after_a_death(supervise):
    service = supervise(FOREVER)
    first = next_event(service, 0.0)
    os.kill(first.pid, signal.SIGKILL)
    assert next_event(service, 1.0).was_ready
    again = next_event(service, 2.0)
    assert isinstance(again, ServiceReady)
    assert again.pid != first.pid


def test_only_the_first_start_can_be_late(supervise):
    service = supervise(FOREVER, ready=lambda: False, ready_timeout_s=10.0)
    service.poll(5.0)
    assert (service.is_late(15.0), service.is_late(15.1)) == (False, True)


def test_a_service_that_ends_on_sigterm_is_not_forced(supervise):
    service = supervise(FOREVER)
    next_event(service, 0.0)
    assert service.stop(lambda: False) == ServiceStopped("it", -signal.SIGTERM, forced=False)
    assert service.stop(lambda: False) is None


def test_a_service_that_ignores_sigterm_is_killed_after_its_timeout(supervise):
    service = supervise(STUBBORN, stop_timeout_s=0.1, ready=lambda: service.last_lines() == "up")
    next_event(service, 0.0)
    assert service.stop(lambda: False) == ServiceStopped("it", -signal.SIGKILL, forced=True)


def test_a_service_that_ignores_sigterm_is_killed_once_kill_now_is_true(supervise):
    service = supervise(STUBBORN, stop_timeout_s=600, ready=lambda: service.last_lines() == "up")
    next_event(service, 0.0)
    assert service.stop(lambda: True) == ServiceStopped("it", -signal.SIGKILL, forced=True)
