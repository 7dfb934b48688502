"""Has a fleet report at its rate, whatever becomes of the reports: open loop, in bounded memory. It knows no way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from taskstream.producer.clock import Clock
from taskstream.producer.fleet.delivery_counts import DeliveryCounts
from taskstream.producer.fleet.fleet import Fleet
from taskstream.producer.fleet.sender import Sender

ON_TIME_S = 0.5
"""A report that leaves later than so much after its moment is late."""
_WORTH_SLEEPING_S = 0.002
_STEP_S = 0.2


@dataclass(frozen=True, slots=True)
class FleetRun:
    """How it went. All in seconds; `late_s` is the latest that a report left after its moment."""

    seconds: float
    late_s: float
    due: int
    """Reports that were due in that time."""
    stopped: bool

    @property
    def on_time(self) -> bool:
        """Whether the sender itself kept up the rate."""
        return self.late_s <= ON_TIME_S


def drive(
    fleet: Fleet,
    sender: Sender,
    counts: DeliveryCounts,
    *,
    rate: float,
    for_s: float,
    past_s: float,
    clock: Clock,
    stopped: Callable[[], bool],
    tell: Callable[[float], None] = lambda _elapsed_s: None,
) -> FleetRun:
    """Send the fleet's first `past_s` seconds as fast as they go, then `for_s` seconds as they pass.

    The past waits for room. The present does not: a report that finds none is skipped and counted, as an agent's
    next one says more. `tell` is called about every fifth of a second with the seconds since the begin.
    """
    began_s = clock.monotonic()
    late_s, told_s, caught_up = 0.0, 0.0, past_s == 0.0
    slack_s = 0.0
    count = max(1, round(rate * (past_s + for_s)))
    for place in range(count):
        moment_s = place / rate
        due_s = began_s + moment_s - past_s
        while (ahead_s := due_s - clock.monotonic()) > _WORTH_SLEEPING_S and not stopped():
            clock.sleep(min(ahead_s, _STEP_S))
            tell(clock.monotonic() - began_s)
        now_s = clock.monotonic()
        if stopped():
            return FleetRun(now_s - began_s, late_s, place, stopped=True)
        if now_s - began_s - told_s > _STEP_S:
            told_s = now_s - began_s
            tell(told_s)
        if moment_s < past_s:
            slack_s = now_s - began_s
        elif now_s - due_s <= ON_TIME_S:
            caught_up = True
        if caught_up:
            late_s = max(late_s, now_s - due_s)
        if now_s - began_s > for_s + slack_s + ON_TIME_S:
            counts.skipped(count - place)
            return FleetRun(now_s - began_s, now_s - due_s, count, stopped=False)
        order = fleet.next_order(moment_s)
        if order is None:
            continue
        if sender.send(order):
            counts.taken()
            continue
        while moment_s < past_s and not stopped():
            sender.wait_for_room()
            if sender.send(order):
                counts.taken()
                break
        else:
            counts.skipped()
    return FleetRun(clock.monotonic() - began_s, late_s, count, stopped=False)
