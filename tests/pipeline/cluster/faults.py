"""The faults of a chaos run: each is done to one process by its role, and undone; a table says what came of it."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.pipeline.cluster.rig import WORKERS, Rig

WHOLE_S = 180.0
ROWS_S = 180.0


@dataclass(frozen=True)
class Fault:
    """`what` is done to `victim`, for some seconds."""

    what: str
    role: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.what} {self.role}" + (f" {self.seconds:.0f} s" if self.seconds else "")


@dataclass(frozen=True)
class Outcome:
    """What one fault did, from its begin until rows have followed."""

    fault: Fault
    ack_gap_s: float
    """The longest time that an agent was without an acknowledgement."""
    rows_after_s: float
    """From the moment when every replica was in sync again, until the rows had every report acknowledged by then."""
    died: list[str]

    def line(self) -> str:
        rows = f"{self.rows_after_s:6.1f}" if self.rows_after_s >= 0 else " never"
        return f"{self.fault!s:44} {self.ack_gap_s:6.1f} {rows}  {len(self.died)}"


BROKER_ROLES: dict[str, Callable[[Rig], int]] = {
    "controller": Rig.controller,
    "group coordinator": Rig.group_coordinator,
    "transaction coordinator": Rig.transaction_coordinator,
    "leader of progress-0": lambda rig: rig.leader(rig.topics.progress.name, 0),
    "leader of state-0": lambda rig: rig.leader(rig.topics.state.name, 0),
}


def random_fault(rng: random.Random) -> Fault:
    """Mostly brokers, and mostly kills."""
    kind = rng.random()
    if kind < 0.45:
        return Fault("kill", rng.choice([*BROKER_ROLES]), rng.uniform(2, 15))
    if kind < 0.7:
        return Fault("pause", rng.choice([*BROKER_ROLES]), rng.uniform(3, 25))
    if kind < 0.8:
        return Fault("kill", rng.choice(WORKERS), 0)
    if kind < 0.87:
        return Fault("pause", rng.choice(WORKERS), rng.uniform(12, 25))
    if kind < 0.94:
        return Fault("kill", "edge", 0)
    if kind < 0.97:
        return Fault("restart", "all brokers in turn", 0)
    return Fault("kill", "two brokers", rng.uniform(20, 70))


def commit(fault: Fault, rig: Rig) -> Outcome:
    """Do it, undo it, and wait until the rows have followed."""
    died_before = len(rig.died)
    began_s = time.monotonic()
    if fault.role in ("edge", *WORKERS):
        if fault.what == "kill":
            rig.kill(fault.role)
        else:
            rig.signal(fault.role, signal.SIGSTOP)
            rig.sleep(fault.seconds)
            rig.signal(fault.role, signal.SIGCONT)
    else:
        _broker_fault(fault, rig)
    rig.wait(rig.is_whole, WHOLE_S)
    wanted = rig.acknowledged()
    rows_after_s = rig.wait(lambda: rig.rows_have(wanted), ROWS_S)
    counts = rig.acknowledged()
    rig.wait(lambda: all(count > counts[task] for task, count in rig.acknowledged().items()), ROWS_S)
    gap_s = rig.ack_gap_s(began_s, time.monotonic())
    return Outcome(fault, gap_s, rows_after_s, rig.died[died_before:])


def _broker_fault(fault: Fault, rig: Rig) -> None:
    nodes = rig.cluster.nodes
    if fault.what == "restart":
        for node in nodes.values():
            node.stop()
            node.start()
            rig.wait(rig.is_whole, WHOLE_S)
        return
    if fault.role == "two brokers":
        victims = [nodes[rig.controller()], nodes[rig.controller() % 3 + 1]]
    else:
        victims = [nodes[BROKER_ROLES[fault.role](rig)]]
    for victim in victims:
        if fault.what == "kill":
            victim.kill()
        else:
            victim.signal(signal.SIGSTOP)
    rig.sleep(fault.seconds)
    for victim in victims:
        if fault.what == "kill":
            victim.launch()
        else:
            victim.signal(signal.SIGCONT)
    if fault.what == "kill":
        for victim in victims:
            victim.await_answer(WHOLE_S)
