"""A simulated fleet: it is deterministic, each kind behaves as described, and every report is counted."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace

import pytest

from taskstream.producer.clock import SteppedClock
from taskstream.producer.events.report_validation import parse_report
from taskstream.producer.fleet import DeliveryCounts, Fleet, FleetReport, run_open_loop
from taskstream.producer.fleet.behaviour import Behaviour
from taskstream.producer.fleet.sender import NullSender

HORIZON_S = 3_600.0
RATE = 10.0


def simulated(tasks: int = 20, seed: int = 1, rate: float = RATE, horizon_s: float = HORIZON_S) -> list[FleetReport]:
    fleet = Fleet(tasks, seed, rate, horizon_s, began_s=1_790_000_000.0)
    reports = (fleet.next_report(number / rate) for number in range(int(rate * horizon_s)))
    return [report for report in reports if report is not None]


def by_kind(reports: list[FleetReport]) -> dict[Behaviour, dict[str, list[FleetReport]]]:
    """[kind][task id] The reports, in order."""
    fleet = Fleet(20, 1, RATE, HORIZON_S, 0.0)
    found: dict[Behaviour, dict[str, list[FleetReport]]] = defaultdict(lambda: defaultdict(list))
    for each in reports:
        found[fleet.behaviour(each.task)][each.task_id].append(each)
    return found


@pytest.fixture(scope="module")
def kinds() -> dict[Behaviour, dict[str, list[FleetReport]]]:
    return by_kind(simulated())


def only(kinds, behaviour: Behaviour) -> list[FleetReport]:
    (reports,) = kinds[behaviour].values()
    return reports


def copied(reports: list[FleetReport]) -> list[FleetReport]:
    return [each for each in reports if each.report.subtask_name.startswith("MIGRATE_")]


def test_the_same_seed_gives_the_same_reports_at_the_same_moments():
    assert simulated(7, seed=3, horizon_s=60.0) == simulated(7, seed=3, horizon_s=60.0)
    assert simulated(7, seed=3, horizon_s=60.0) != simulated(7, seed=4, horizon_s=60.0)


def test_every_report_is_valid(kinds):
    for reports in (reports for tasks in kinds.values() for reports in tasks.values()):
        for each in reports[::50]:
            assert not parse_report(each.report.body()).unknown_names


def test_subtasks_are_in_the_order_of_the_api(kinds):
    for tasks in (kinds[Behaviour.STEADY], kinds[Behaviour.NOISY], kinds[Behaviour.GROWING]):
        for reports in tasks.values():
            names = list(dict.fromkeys(each.report.subtask_name for each in reports))
            verbs = [name.split("_")[0] for name in names]
            whole = ["CREATE", "SSL", "ATTACH", "FORMAT", "MIGRATE", "SYNC", "CONFIGURE"]
            begin = whole.index(verbs[0])
            assert verbs == whole[begin : begin + len(verbs)]


def test_some_end_and_some_do_not(kinds):
    last = [reports[-1].report for reports in kinds[Behaviour.STEADY].values()]
    ended = [each.subtask_name.startswith("CONFIGURE_") and each.progress == 100 for each in last]
    assert any(ended)
    assert not all(ended)


@pytest.mark.slow
def test_a_stuck_migration_keeps_reporting_the_same_bytes(kinds):
    reports = only(kinds, Behaviour.STUCK)
    late = [each.report.replicatesize for each in reports if each.at_s > reports[0].at_s + 0.7 * HORIZON_S]
    assert len(late) > 100
    assert len(set(late)) == 1


def test_a_silent_migration_stops_reporting_and_a_returning_one_resumes(kinds):
    end_s = 1_790_000_000.0 + HORIZON_S
    assert only(kinds, Behaviour.SILENT)[-1].at_s < end_s - 0.3 * HORIZON_S
    returning = only(kinds, Behaviour.RETURNING)
    gaps_s = [after.at_s - before.at_s for before, after in itertools.pairwise(returning)]
    assert max(gaps_s) > 0.1 * HORIZON_S
    assert returning[-1].at_s > end_s - 60


def test_a_slowing_migration_ends_at_a_fraction_of_its_rate(kinds):
    reports = copied(only(kinds, Behaviour.SLOWING))
    third = len(reports) // 3

    def rate(part: list[FleetReport]) -> float:
        return (part[-1].report.replicatesize - part[0].report.replicatesize) / (part[-1].at_s - part[0].at_s)

    assert rate(reports[-third:]) < 0.5 * rate(reports[:third])


def test_a_restarting_migration_restarts_from_zero_once(kinds):
    sizes = [each.report.replicatesize for each in copied(only(kinds, Behaviour.RESTARTING))]
    falls = [after for before, after in itertools.pairwise(sizes) if after < before]
    assert falls == [0]


def test_the_total_of_a_growing_migration_grows(kinds):
    totals = [each.report.totalsize for each in copied(only(kinds, Behaviour.GROWING))]
    assert totals == sorted(totals)
    assert totals[-1] > 1.2 * totals[0]


def test_a_stuttering_migration_repeats_old_reports(kinds):
    sizes = [each.report.replicatesize for each in copied(only(kinds, Behaviour.STUTTERING))]
    pairs = list(itertools.pairwise(sizes))
    assert any(after < before for before, after in pairs)
    assert sum(after == before for before, after in pairs) > len(pairs) / 50


@pytest.mark.slow
def test_the_fleet_keeps_its_rate_although_some_tasks_are_silent():
    assert len(simulated()) == HORIZON_S * RATE


def test_a_fleet_of_one_task_is_steady():
    fleet = Fleet(1, 9, 1.0, 60.0, 0.0)
    assert fleet.behaviour(0) is Behaviour.STEADY
    assert fleet.next_report(0.0) is not None


def run(sender: NullSender, clock: SteppedClock, *, for_s: float, past_s: float = 0.0, should_stop=lambda: False):
    fleet = Fleet(20, 1, 10.0, for_s + past_s, clock.time() - past_s)
    return run_open_loop(
        fleet, sender, sender.counts, rate=10.0, for_s=for_s, past_s=past_s, clock=clock, should_stop=should_stop
    )


def test_the_present_is_sent_in_real_time():
    clock, counts = SteppedClock(), DeliveryCounts()
    sender = NullSender(counts)
    began_s = clock.time()
    ran = run(sender, clock, for_s=30.0)
    assert counts.sums().acknowledged == len(sender.accepted) == 300
    assert ran.on_time
    assert 29 < clock.time() - began_s <= 30


def test_the_past_is_sent_at_once_with_its_own_moments():
    clock, counts = SteppedClock(), DeliveryCounts()
    sender = NullSender(counts)
    began_s = clock.time()
    run(sender, clock, for_s=1.0, past_s=600.0)
    assert len(sender.accepted) == 6_010
    assert sender.accepted[0].at_s == began_s - 600
    assert clock.time() - began_s < 1


def test_a_report_of_the_present_that_finds_no_room_is_skipped_without_waiting():
    clock, counts = SteppedClock(), DeliveryCounts()
    run(NullSender(counts, room=100), clock, for_s=30.0)
    assert (counts.sums().sent, counts.sums().skipped) == (100, 200)


def test_the_past_waits_for_room():
    clock, counts = SteppedClock(), DeliveryCounts()
    run(NullSender(counts, room=0), clock, for_s=0.1, past_s=30.0)
    assert (counts.sums().sent, counts.sums().skipped) == (300, 1)


class Slow(SteppedClock):
    """A machine on which every reading of the clock takes a second."""

    def monotonic(self) -> float:
        self.now_s += 1.0
        return self.now_s


def test_a_run_that_cannot_keep_up_ends_in_time_and_is_not_on_time():
    clock, counts = Slow(), DeliveryCounts()
    sender = NullSender(counts)
    ran = run(sender, clock, for_s=10.0)
    assert not ran.on_time
    assert counts.sums().sent + counts.sums().skipped == 100
    assert counts.sums().skipped > 80


def test_a_stopped_run_ends_with_what_was_sent():
    clock, counts = SteppedClock(), DeliveryCounts()
    sender = NullSender(counts)
    ran = run(sender, clock, for_s=30.0, should_stop=lambda: len(sender.accepted) >= 50)
    assert ran.stopped
    assert counts.sums().sent == 50


def test_the_last_report_of_a_task_has_the_highest_number_regardless_of_the_order_of_acks():
    counts = DeliveryCounts()
    first, second = simulated(1, horizon_s=1.0, rate=2.0)
    second = second._replace(report=replace(second.report, subtask_name=first.report.subtask_name))
    counts.add_acknowledged(second, attempts=1)
    counts.add_acknowledged(first, attempts=3)
    (task,) = counts.by_task(lambda _: "", 1)
    subtask = task.subtasks[task.current]
    assert subtask.last == second.report
    assert (subtask.acknowledged, subtask.retried) == (2, 2)
