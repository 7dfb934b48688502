"""Sends a fleet's reports at a fixed rate, regardless of how fast they are acknowledged: an open loop.

It knows only the `Sender` protocol, neither HTTP nor Kafka. Its memory is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from taskstream.producer.clock import Clock
from taskstream.producer.fleet.delivery_counts import DeliveryCounts
from taskstream.producer.fleet.fleet import Fleet
from taskstream.producer.fleet.sender import Sender

ON_TIME_S = 0.5
"""A run is on time if no report is sent later than this after its due time."""
_MIN_SLEEP_S = 0.002
_TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class FleetRun:
    """The timing of one run."""

    seconds: float
    late_s: float
    """The longest delay of a report after its due time, in seconds."""
    due: int
    """The number of reports that were due."""
    stopped: bool
    """Whether `should_stop` ended the run."""

    @property
    def on_time(self) -> bool:
        """Whether this process could send at the given rate."""
        return self.late_s <= ON_TIME_S


def run_open_loop(
    fleet: Fleet,
    sender: Sender,
    counts: DeliveryCounts,
    *,
    rate: float,
    for_s: float,
    past_s: float,
    clock: Clock,
    should_stop: Callable[[], bool],
    on_tick: Callable[[float], None] = lambda _elapsed_s: None,
) -> FleetRun:
    """Send the reports of the fleet's first `past_s` seconds at once, then those of `for_s` seconds in real time.

    `rate` is in reports per second. If the sender is full, a report of the past waits; a report of the present is
    skipped and counted, because the agent's next report supersedes it. `should_stop` is polled; True ends the run.
    `on_tick` is called about every 0.2 s with the elapsed seconds.
    """
    began_s = clock.monotonic()
    late_s, tick_s, caught_up = 0.0, 0.0, past_s == 0.0
    past_took_s = 0.0
    count = max(1, round(rate * (past_s + for_s)))
    for number in range(count):
        offset_s = number / rate
        due_s = began_s + offset_s - past_s
        while (ahead_s := due_s - clock.monotonic()) > _MIN_SLEEP_S and not should_stop():
            clock.sleep(min(ahead_s, _TICK_S))
            on_tick(clock.monotonic() - began_s)
        now_s = clock.monotonic()
        if should_stop():
            return FleetRun(now_s - began_s, late_s, number, stopped=True)
        if now_s - began_s - tick_s > _TICK_S:
            tick_s = now_s - began_s
            on_tick(tick_s)
        if offset_s < past_s:
            past_took_s = now_s - began_s
        elif now_s - due_s <= ON_TIME_S:
            caught_up = True
        if caught_up:
            late_s = max(late_s, now_s - due_s)
        if now_s - began_s > for_s + past_took_s + ON_TIME_S:
            counts.add_skipped(count - number)
            return FleetRun(now_s - began_s, now_s - due_s, count, stopped=False)
        fleet_report = fleet.next_report(offset_s)
        if fleet_report is None:
            continue
        if sender.send(fleet_report):
            counts.add_sent()
            continue
        while offset_s < past_s and not should_stop():
            sender.wait_for_room()
            if sender.send(fleet_report):
                counts.add_sent()
                break
        else:
            counts.add_skipped()
    return FleetRun(clock.monotonic() - began_s, late_s, count, stopped=False)
