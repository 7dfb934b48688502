"""A simulated fleet: the same for the same seed, each kind as it is meant, open loop, and every report accounted for."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace

import pytest

from taskstream.producer.clock import SteppedClock
from taskstream.producer.events.report_validation import read_report
from taskstream.producer.fleet import DeliveryCounts, Fleet, FleetReport, drive
from taskstream.producer.fleet.behaviour import Behaviour
from taskstream.producer.fleet.sender import NullSender

HORIZON_S = 3_600.0
RATE = 10.0


def orders(tasks: int = 20, seed: int = 1, rate: float = RATE, horizon_s: float = HORIZON_S) -> list[FleetReport]:
    fleet = Fleet(tasks, seed, rate, horizon_s, began_s=1_790_000_000.0)
    said = (fleet.next_order(place / rate) for place in range(int(rate * horizon_s)))
    return [order for order in said if order is not None]


def by_kind(said: list[FleetReport]) -> dict[Behaviour, dict[str, list[FleetReport]]]:
    """The orders of each task, by what is special about it."""
    fleet = Fleet(20, 1, RATE, HORIZON_S, 0.0)
    found: dict[Behaviour, dict[str, list[FleetReport]]] = defaultdict(lambda: defaultdict(list))
    for order in said:
        found[fleet.behaviour(order.task)][order.task_id].append(order)
    return found


@pytest.fixture(scope="module")
def kinds() -> dict[Behaviour, dict[str, list[FleetReport]]]:
    return by_kind(orders())


def only(kinds, behaviour: Behaviour) -> list[FleetReport]:
    (said,) = kinds[behaviour].values()
    return said


def copied(said: list[FleetReport]) -> list[FleetReport]:
    return [order for order in said if order.report.subtask_name.startswith("MIGRATE_")]


def test_the_same_seed_says_the_same_at_the_same_moments():
    assert orders(7, seed=3, horizon_s=60.0) == orders(7, seed=3, horizon_s=60.0)
    assert orders(7, seed=3, horizon_s=60.0) != orders(7, seed=4, horizon_s=60.0)


def test_every_report_is_one_that_the_edge_takes(kinds):
    for said in (said for tasks in kinds.values() for said in tasks.values()):
        for order in said[::50]:
            assert read_report(order.report.body()).unknown_fields == 0


def test_subtasks_come_in_the_order_of_the_api(kinds):
    for tasks in (kinds[Behaviour.STEADY], kinds[Behaviour.NOISY], kinds[Behaviour.GROWING]):
        for said in tasks.values():
            names = list(dict.fromkeys(order.report.subtask_name for order in said))
            verbs = [name.split("_")[0] for name in names]
            whole = ["CREATE", "SSL", "ATTACH", "FORMAT", "MIGRATE", "SYNC", "CONFIGURE"]
            begin = whole.index(verbs[0])
            assert verbs == whole[begin : begin + len(verbs)]


def test_some_end_and_some_do_not(kinds):
    last = [said[-1].report for said in kinds[Behaviour.STEADY].values()]
    ended = [each.subtask_name.startswith("CONFIGURE_") and each.progress == 100 for each in last]
    assert any(ended)
    assert not all(ended)


def test_a_stuck_one_goes_on_reporting_the_same_bytes(kinds):
    said = only(kinds, Behaviour.STUCK)
    late = [order.report.replicatesize for order in said if order.at_s > said[0].at_s + 0.7 * HORIZON_S]
    assert len(late) > 100
    assert len(set(late)) == 1


def test_a_silent_one_is_heard_no_more_and_a_returning_one_again(kinds):
    end_s = 1_790_000_000.0 + HORIZON_S
    assert only(kinds, Behaviour.SILENT)[-1].at_s < end_s - 0.3 * HORIZON_S
    returning = only(kinds, Behaviour.RETURNING)
    gaps_s = [after.at_s - before.at_s for before, after in itertools.pairwise(returning)]
    assert max(gaps_s) > 0.1 * HORIZON_S
    assert returning[-1].at_s > end_s - 60


def test_a_slowing_one_ends_at_a_fraction_of_its_rate(kinds):
    said = copied(only(kinds, Behaviour.SLOWING))
    third = len(said) // 3

    def rate(part: list[FleetReport]) -> float:
        return (part[-1].report.replicatesize - part[0].report.replicatesize) / (part[-1].at_s - part[0].at_s)

    assert rate(said[-third:]) < 0.5 * rate(said[:third])


def test_a_restarting_one_begins_again_from_nothing_once(kinds):
    sizes = [order.report.replicatesize for order in copied(only(kinds, Behaviour.RESTARTING))]
    falls = [after for before, after in itertools.pairwise(sizes) if after < before]
    assert falls == [0]


def test_a_growing_one_has_ever_more_to_copy(kinds):
    totals = [order.report.totalsize for order in copied(only(kinds, Behaviour.GROWING))]
    assert totals == sorted(totals)
    assert totals[-1] > 1.2 * totals[0]


def test_a_stuttering_one_says_old_things_again(kinds):
    sizes = [order.report.replicatesize for order in copied(only(kinds, Behaviour.STUTTERING))]
    pairs = list(itertools.pairwise(sizes))
    assert any(after < before for before, after in pairs)
    assert sum(after == before for before, after in pairs) > len(pairs) / 50


def test_all_of_them_together_keep_the_rate_though_some_are_silent():
    assert len(orders()) == HORIZON_S * RATE


def test_one_alone_is_a_steady_one():
    fleet = Fleet(1, 9, 1.0, 60.0, 0.0)
    assert fleet.behaviour(0) is Behaviour.STEADY
    assert fleet.next_order(0.0) is not None


def run(sender: NullSender, clock: SteppedClock, *, for_s: float, past_s: float = 0.0, stopped=lambda: False):
    fleet = Fleet(20, 1, 10.0, for_s + past_s, clock.time() - past_s)
    return drive(fleet, sender, sender.counts, rate=10.0, for_s=for_s, past_s=past_s, clock=clock, stopped=stopped)


def test_the_present_is_sent_as_it_passes():
    clock, counts = SteppedClock(), DeliveryCounts()
    sender = NullSender(counts)
    began_s = clock.time()
    ran = run(sender, clock, for_s=30.0)
    assert counts.sums().acknowledged == len(sender.orders) == 300
    assert ran.on_time
    assert 29 < clock.time() - began_s <= 30


def test_the_past_is_sent_at_once_with_its_own_moments():
    clock, counts = SteppedClock(), DeliveryCounts()
    sender = NullSender(counts)
    began_s = clock.time()
    run(sender, clock, for_s=1.0, past_s=600.0)
    assert len(sender.orders) == 6_010
    assert sender.orders[0].at_s == began_s - 600
    assert clock.time() - began_s < 1


def test_what_finds_no_room_is_skipped_and_counted_and_nobody_waits():
    clock, counts = SteppedClock(), DeliveryCounts()
    run(NullSender(counts, room=100), clock, for_s=30.0)
    assert (counts.sums().sent, counts.sums().skipped) == (100, 200)


def test_the_past_waits_for_room():
    clock, counts = SteppedClock(), DeliveryCounts()
    run(NullSender(counts, room=0), clock, for_s=0.1, past_s=30.0)
    assert (counts.sums().sent, counts.sums().skipped) == (300, 1)


class Slow(SteppedClock):
    """A machine on which every look at the clock takes a second."""

    def monotonic(self) -> float:
        self.now_s += 1.0
        return self.now_s


def test_who_cannot_keep_up_ends_in_time_and_says_so():
    clock, counts = Slow(), DeliveryCounts()
    sender = NullSender(counts)
    ran = run(sender, clock, for_s=10.0)
    assert not ran.on_time
    assert counts.sums().sent + counts.sums().skipped == 100
    assert counts.sums().skipped > 80


def test_stopped_it_ends_with_what_was_sent():
    clock, counts = SteppedClock(), DeliveryCounts()
    sender = NullSender(counts)
    ran = run(sender, clock, for_s=30.0, stopped=lambda: len(sender.orders) >= 50)
    assert ran.stopped
    assert counts.sums().sent == 50


def test_the_last_report_of_a_task_is_the_one_that_was_said_last_whatever_was_acknowledged_last():
    counts = DeliveryCounts()
    first, second = orders(1, horizon_s=1.0, rate=2.0)
    second = second._replace(report=replace(second.report, subtask_name=first.report.subtask_name))
    counts.acknowledged(second, attempts=1)
    counts.acknowledged(first, attempts=3)
    (task,) = counts.in_order(lambda _: "", 1)
    subtask = task.subtasks[task.current]
    assert subtask.last == second.report
    assert (subtask.acknowledged, subtask.retried) == (2, 2)
