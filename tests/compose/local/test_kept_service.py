"""When a service is started again, told by a clock that the test holds."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from taskstream.compose.local.kept_service import (
    Backoff,
    KeptService,
    Service,
    ServiceDied,
    ServiceReady,
    ServiceStopped,
)
from tests.waiting import wait_until

FOREVER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {FOREVER}"


@pytest.fixture
def keep(tmp_path):
    """Keeps a Python program as a service; none is left after the test."""
    kept_services: list[KeptService] = []

    def make(program: str, *, ready=lambda: True, **options) -> KeptService:
        service = Service("it", (sys.executable, "-c", program), ready, **options)
        kept_services.append(KeptService(service, tmp_path / "it.log", Backoff(1.0, 5.0, 30.0)))
        return kept_services[-1]

    yield make
    for kept in kept_services:
        kept.stop(lambda: True)


def next_happening(kept: KeptService, now_s: float):
    """What is told at one moment of the service's clock, awaited on the real one."""
    return wait_until(lambda: kept.look(now_s))


def test_the_wait_doubles_up_to_its_limit():
    backoff = Backoff(first_s=0.5, limit_s=3.0)
    assert [backoff.delay_s(deaths) for deaths in (1, 2, 3, 4, 1000)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_it_is_told_when_it_is_ready_and_only_once(keep):
    kept = keep(FOREVER)
    assert isinstance(next_happening(kept, 0.0), ServiceReady)
    assert kept.look(1.0) is None


def test_a_death_is_told_with_its_code_and_last_words(keep):
    kept = keep("print('alas', flush=True); raise SystemExit(3)", ready=lambda: False)
    assert next_happening(kept, 0.0) == ServiceDied("it", 3, "alas", was_ready=False, restart_in_s=1.0)


def test_a_kill_is_told_as_its_signal(keep):
    kept = keep("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ready=lambda: False)
    assert next_happening(kept, 0.0).code == -signal.SIGKILL


def test_last_words_are_those_of_the_last_life(keep, tmp_path):
    (tmp_path / "it.log").write_text("an older story\n")
    kept = keep("raise SystemExit(3)", ready=lambda: False)
    assert next_happening(kept, 0.0).last_lines == ""


def test_it_stays_dead_until_its_wait_is_over(keep):
    kept = keep("raise SystemExit(3)", ready=lambda: False)
    next_happening(kept, 10.0)
    assert (kept.look(10.9), kept.pid) == (None, None)
    assert isinstance(next_happening(kept, 11.0), ServiceDied)


def test_deaths_in_a_row_wait_longer_and_a_long_life_is_forgiven(keep):
    kept = keep("raise SystemExit(3)", ready=lambda: False)
    waits, now_s = [], 0.0
    for _ in range(4):
        waits.append(next_happening(kept, now_s).restart_in_s)
        now_s += waits[-1]
    assert waits == [1.0, 2.0, 4.0, 5.0]
    kept.look(now_s)
    assert next_happening(kept, now_s + 31.0).restart_in_s == 1.0


def test_it_is_ready_again_after_a_death(keep):
    kept = keep(FOREVER)
    first = next_happening(kept, 0.0)
    os.kill(first.pid, signal.SIGKILL)
    assert next_happening(kept, 1.0).was_ready
    again = next_happening(kept, 2.0)
    assert isinstance(again, ServiceReady)
    assert again.pid != first.pid


def test_only_the_first_start_can_be_late(keep):
    kept = keep(FOREVER, ready=lambda: False, ready_timeout_s=10.0)
    kept.look(5.0)
    assert (kept.is_late(15.0), kept.is_late(15.1)) == (False, True)


def test_what_ends_when_told_is_not_forced(keep):
    kept = keep(FOREVER)
    next_happening(kept, 0.0)
    assert kept.stop(lambda: False) == ServiceStopped("it", -signal.SIGTERM, forced=False)
    assert kept.stop(lambda: False) is None


def test_what_does_not_end_by_its_deadline_is_killed(keep):
    kept = keep(STUBBORN, stop_timeout_s=0.1, ready=lambda: kept.last_lines() == "up")
    next_happening(kept, 0.0)
    assert kept.stop(lambda: False) == ServiceStopped("it", -signal.SIGKILL, forced=True)


def test_what_does_not_end_is_killed_at_once_in_a_hurry(keep):
    kept = keep(STUBBORN, stop_timeout_s=600, ready=lambda: kept.last_lines() == "up")
    next_happening(kept, 0.0)
    assert kept.stop(lambda: True) == ServiceStopped("it", -signal.SIGKILL, forced=True)
