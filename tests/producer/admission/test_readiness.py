"""Whether an edge is ready, by what its probes find: Kafka's acknowledgements and its clock."""

from __future__ import annotations

import asyncio

import pytest

from taskstream.producer.acks.delivery import ProbeOutcome
from taskstream.producer.admission.clock_difference import (
    COMPARE_EVERY_US,
    MAX_DIFFERENCE_US,
    MAX_STEP_US,
    clock_problem,
)
from taskstream.producer.admission.readiness import ASK_EVERY_US, REFUSED_US, Readiness, ReadinessWatch

NOW_US = 1_795_600_000_000_000
HOUR_US = 3_600_000_000
YEAR_US = 31_557_600_000_000


class Kafka:
    """A Kafka, and the clocks of it and of an edge: every time is set by the test."""

    def __init__(self) -> None:
        self.edge_us = NOW_US
        self.monotonic_us = 0
        self.ahead_us = 0
        self.problem: str | None = None
        self.late = False
        self.reports_fail: str | None = None
        self.unwritable: str | None = None
        self.questions = 0
        self.says_time = True
        self.written = 0

    async def probe(self, *, must_write: bool) -> ProbeOutcome:
        if self.problem is not None or self.reports_fail is not None:
            return ProbeOutcome(self.problem, late=self.late, reports_fail=self.reports_fail)
        if not must_write:
            return ProbeOutcome()
        self.written += 1
        return ProbeOutcome(None, "p.probe", (self.edge_us + self.ahead_us) // 1000 if self.says_time else None)

    async def topic_problem(self) -> str | None:
        self.questions += 1
        return self.unwritable

    def pass_time(self, passed_us: int) -> None:
        self.edge_us += passed_us
        self.monotonic_us += passed_us


class _Topic:
    def __init__(self, kafka: Kafka) -> None:
        self.problem = kafka.topic_problem


class Edge:
    def __init__(self) -> None:
        self.kafka, self.readiness = Kafka(), Readiness()
        clock_us, monotonic_us = lambda: self.kafka.edge_us, lambda: self.kafka.monotonic_us
        self._watch = ReadinessWatch(
            self.readiness, self.kafka, clock_us, monotonic_us=monotonic_us, topic=_Topic(self.kafka)
        )

    def check(self) -> dict[str, str]:
        asyncio.run(self._watch.check_once())
        return self.readiness.document()["checks"]


@pytest.fixture
def edge() -> Edge:
    return Edge()


def test_an_edge_is_not_ready_before_kafka_acknowledges(edge):
    assert not edge.readiness.ready
    assert edge.readiness.refusal == "Kafka does not acknowledge: not probed yet"

    edge.kafka.problem = "_TIMED_OUT"

    assert edge.check() == {"draining": "no", "kafka": "_TIMED_OUT", "topic": "ok", "clock": "ok"}
    assert not edge.readiness.ready
    assert edge.readiness.refusal == "Kafka does not acknowledge: _TIMED_OUT"


def test_an_edge_is_ready_when_kafka_acknowledges_and_both_clocks_agree(edge):
    assert edge.check() == {"draining": "no", "kafka": "ok", "topic": "ok", "clock": "ok"}
    assert edge.readiness.ready
    assert edge.readiness.refusal is None


def test_an_edge_that_drains_is_not_ready_and_refuses_nothing(edge):
    edge.check()
    edge.readiness.draining = True

    assert not edge.readiness.ready
    assert edge.readiness.refusal is None


def test_an_edge_six_years_behind_refuses_with_both_times(edge):
    edge.kafka.ahead_us = 6 * YEAR_US

    words = edge.check()["clock"]

    assert words == (
        "this edge's clock is 6.0 years behind Kafka's: 2026-11-25 09:46 UTC here, 2032-11-24 21:46 UTC there; "
        "set the clock that is wrong with a time service (chrony, ntpd)"
    )
    assert edge.readiness.refusal == words
    assert not edge.readiness.ready


def test_an_edge_is_ready_again_as_soon_as_its_clock_is_right(edge):
    edge.kafka.ahead_us = -2 * HOUR_US
    assert "2.0 h ahead of Kafka's" in edge.check()["clock"]

    edge.kafka.ahead_us = 0

    assert edge.check()["clock"] == "ok"
    assert edge.readiness.ready


def test_a_single_late_probe_is_told_and_changes_nothing(edge):
    edge.check()
    edge.kafka.problem, edge.kafka.late = "no acknowledgement within 3 s", True

    assert edge.check()["kafka"] == "ok; one probe was late: no acknowledgement within 3 s"
    assert edge.readiness.ready

    edge.kafka.problem = None
    assert edge.check()["kafka"] == "ok"
    edge.kafka.problem = "no acknowledgement within 3 s"
    edge.check()
    assert edge.readiness.ready


def test_probes_that_are_late_again_and_again_make_an_edge_unready_until_two_are_in_time(edge):
    edge.check()
    edge.kafka.problem, edge.kafka.late = "no acknowledgement within 3 s", True
    edge.check()
    assert edge.check()["kafka"] == "no acknowledgement within 3 s"
    assert not edge.readiness.ready

    edge.kafka.problem = None
    assert edge.check()["kafka"] == "acknowledgements were late; 1 of 2 in time since"
    assert not edge.readiness.ready
    edge.check()
    assert edge.readiness.ready


def test_an_error_makes_an_edge_unready_at_once_and_its_end_ready_at_once(edge):
    edge.check()
    edge.kafka.problem = "_ALL_BROKERS_DOWN"
    edge.check()
    assert not edge.readiness.ready
    edge.kafka.problem = None
    edge.check()
    assert edge.readiness.ready


def test_an_edge_whose_topic_cannot_be_written_is_not_ready_although_probes_are_acknowledged(edge):
    edge.kafka.unwritable = "the topic p.progress does not exist"

    assert edge.check()["topic"] == edge.readiness.refusal == "the topic p.progress does not exist"
    assert not edge.readiness.ready

    edge.kafka.unwritable = None
    assert edge.check()["topic"] == "ok"
    assert edge.readiness.ready
    edge.kafka.pass_time(ASK_EVERY_US - 1)
    edge.check()
    assert edge.kafka.questions == 2
    edge.kafka.pass_time(1)
    edge.check()
    assert edge.kafka.questions == 3


def test_the_topic_is_not_asked_about_while_kafka_does_not_acknowledge(edge):
    edge.kafka.problem = "_ALL_BROKERS_DOWN"
    edge.check()
    assert edge.kafka.questions == 0
    edge.kafka.problem = None
    edge.check()
    assert edge.kafka.questions == 1


def test_an_edge_whose_reports_are_all_refused_by_the_topic_is_unready_for_a_while_and_tries_again(edge):
    edge.check()
    edge.kafka.reports_fail = "the topic p.progress refuses reports: INVALID_TIMESTAMP"
    assert edge.check()["topic"] == edge.kafka.reports_fail

    edge.kafka.reports_fail = None
    edge.kafka.pass_time(REFUSED_US - 1)
    assert "INVALID_TIMESTAMP" in edge.check()["topic"]
    assert not edge.readiness.ready
    edge.kafka.pass_time(1)
    assert edge.check()["topic"] == "ok"
    assert edge.readiness.ready


def test_a_topic_that_has_the_times_of_its_writers_leaves_the_edge_ready_and_is_named(edge):
    edge.kafka.says_time = False

    assert edge.check()["clock"] == "unknown: p.probe has a message.timestamp.type other than LogAppendTime"
    assert edge.readiness.ready


def test_the_clocks_are_compared_at_intervals_and_not_at_every_check(edge):
    edge.check()
    edge.kafka.pass_time(COMPARE_EVERY_US - 1)
    edge.check()
    assert edge.kafka.written == 1

    edge.kafka.pass_time(1)
    edge.check()
    assert edge.kafka.written == 2


@pytest.mark.parametrize("step_us", [MAX_STEP_US + 1, -MAX_STEP_US - 1])
def test_a_step_of_the_edges_clock_is_compared_at_once(edge, step_us):
    edge.check()
    edge.kafka.edge_us += step_us

    edge.check()

    assert edge.kafka.written == 2


def test_a_wrong_clock_is_remembered_while_kafka_is_away(edge):
    edge.kafka.ahead_us = 5 * HOUR_US
    edge.check()
    edge.kafka.problem = "_TIMED_OUT"

    checks = edge.check()

    assert checks["kafka"] == "_TIMED_OUT"
    assert "5.0 h behind" in checks["clock"]


@pytest.mark.parametrize("direction", [1, -1])
def test_the_clocks_may_differ_by_an_hour(direction):
    assert clock_problem(NOW_US + direction * MAX_DIFFERENCE_US, NOW_US) is None
    assert clock_problem(NOW_US + direction * (MAX_DIFFERENCE_US + 1), NOW_US) is not None


@pytest.mark.parametrize("edge_us", [-(2**62), 0, 2**62])
def test_any_time_can_be_said(edge_us):
    assert "this edge's clock is" in clock_problem(edge_us, NOW_US)
