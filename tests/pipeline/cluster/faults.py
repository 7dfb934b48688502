"""The faults of a chaos run: each is done to one process by its role, and undone; a table says what came of it."""

from __future__ import annotations

import math
import random
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from tests.pipeline.cluster.proxies import Harm
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
    elected_s: float | None
    """From the begin until Kafka had made other brokers the leaders of partitions; None: no broker was taken away."""
    ack_gap_s: float
    """The longest time that an agent was without an acknowledgement."""
    rows_after_s: float
    """From the moment when every replica was in sync again, until the rows had every report acknowledged by then."""
    died: list[str]

    def line(self) -> str:
        elected = "       " if self.elected_s is None else f"{self.elected_s:7.1f}"
        rows = f"{self.rows_after_s:6.1f}" if self.rows_after_s >= 0 else " never"
        return f"{self.fault!s:44} {elected} {self.ack_gap_s:6.1f} {rows}  {len(self.died)}"


HEADING = f"{'fault':44} elected no ack   rows  died"


def summary(outcomes: Sequence[Outcome]) -> str:
    """A line for each kind of fault: how often, and the median and the longest of its times."""
    kinds: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        role = re.sub(r" of \S+$|-[ab]$", "", outcome.fault.role)
        kinds.setdefault(f"{outcome.fault.what} {role}", []).append(outcome)
    lines = [f"{'kind of fault, median and longest':44} times      elected       no ack         rows  died"]
    for kind, found in sorted(kinds.items()):
        times = (
            [each.elected_s for each in found if each.elected_s is not None],
            [each.ack_gap_s for each in found],
            [each.rows_after_s if each.rows_after_s >= 0 else math.inf for each in found],
        )
        shown = " ".join(f"{median(each):6.1f} {max(each):5.1f}" if each else " " * 12 for each in times)
        lines.append(f"{kind:44} {len(found):5} {shown}  {sum(len(each.died) for each in found)}")
    return "\n".join(lines)


BROKER_ROLES: dict[str, Callable[[Rig], int]] = {
    "controller": Rig.controller,
    "group coordinator": Rig.group_coordinator,
    "transaction coordinator": Rig.transaction_coordinator,
    "leader of progress-0": lambda rig: rig.leader(rig.topics.progress.name, 0),
    "leader of state-0": lambda rig: rig.leader(rig.topics.state.name, 0),
}


ALL_BROKERS = "all brokers"
TWO_BROKERS = "two brokers"
FILL_DISK = "fill disk of"
HARMS = {harm.value: harm for harm in Harm}
ENDS_S = 60.0
"""A broker whose disk is full should end by itself within this time; else it is killed."""


def random_fault(rng: random.Random) -> Fault:
    """Mostly brokers, and mostly kills."""
    kind = rng.random()
    if kind < 0.35:
        return Fault("kill", rng.choice([*BROKER_ROLES]), rng.uniform(2, 15))
    if kind < 0.5:
        return Fault("pause", rng.choice([*BROKER_ROLES]), rng.uniform(3, 25))
    if kind < 0.7:
        return Fault(rng.choice([*HARMS]), rng.choice([*BROKER_ROLES, ALL_BROKERS]), rng.uniform(2, 20))
    if kind < 0.76:
        return Fault(FILL_DISK, rng.choice([*BROKER_ROLES]), rng.uniform(0, 10))
    if kind < 0.83:
        return Fault("kill", rng.choice(WORKERS), 0)
    if kind < 0.88:
        return Fault("pause", rng.choice(WORKERS), rng.uniform(12, 25))
    if kind < 0.94:
        return Fault("kill", "edge", 0)
    if kind < 0.97:
        return Fault("restart", "all brokers in turn", 0)
    return Fault("kill", TWO_BROKERS, rng.uniform(20, 70))


def commit(fault: Fault, rig: Rig) -> Outcome:
    """Do it, undo it, and wait until the rows have followed."""
    died_before = len(rig.died)
    began_s = time.monotonic()
    elected_s = None
    if fault.role in ("edge", *WORKERS):
        _process_fault(fault, rig)
    elif fault.what == "restart":
        _rolling_restart(rig)
    elif fault.what in HARMS:
        _network_fault(fault, rig)
    else:
        elected_s = _broker_fault(fault, rig)
    rig.wait(rig.is_whole, WHOLE_S)
    wanted = rig.acknowledged()
    rows_after_s = rig.wait(lambda: rig.rows_have(wanted), ROWS_S)
    counts = rig.acknowledged()
    rig.wait(lambda: all(count > counts[task] for task, count in rig.acknowledged().items()), ROWS_S)
    gap_s = rig.ack_gap_s(began_s, time.monotonic())
    return Outcome(fault, elected_s, gap_s, rows_after_s, rig.died[died_before:])


def _process_fault(fault: Fault, rig: Rig) -> None:
    if fault.what == "kill":
        rig.kill(fault.role)
    else:
        rig.signal(fault.role, signal.SIGSTOP)
        rig.sleep(fault.seconds)
        rig.signal(fault.role, signal.SIGCONT)


def _rolling_restart(rig: Rig) -> None:
    for node in rig.cluster.nodes.values():
        node.stop(WHOLE_S)
        node.start(WHOLE_S)
        rig.wait(rig.is_whole, WHOLE_S)


def _network_fault(fault: Fault, rig: Rig) -> None:
    faulty = rig.faulty
    nodes = [*faulty.proxy_ports] if fault.role == ALL_BROKERS else [BROKER_ROLES[fault.role](rig)]
    ports = [faulty.proxy_ports[node] for node in nodes]
    faulty.proxies.harm(ports, HARMS[fault.what])
    rig.sleep(fault.seconds)
    faulty.proxies.harm(ports, None)


def _broker_fault(fault: Fault, rig: Rig) -> float | None:
    """Gives `Outcome.elected_s`."""
    if fault.role == TWO_BROKERS:
        first = rig.controller()
        victims = [first, first % 3 + 1]
    else:
        victims = [BROKER_ROLES[fault.role](rig)]
    nodes = [rig.cluster.nodes[victim] for victim in victims]
    began_at = datetime.now()  # noqa: DTZ005 # Kafka logs local time
    for victim, node in zip(victims, nodes, strict=True):
        match fault.what:
            case "kill":
                node.kill()
            case "pause":
                node.signal(signal.SIGSTOP)
            case _:
                rig.faulty.disks[victim].fill(node.pid)
                rig.wait(lambda node=node: not node.is_running, ENDS_S)
    rig.sleep(fault.seconds)
    for victim, node in zip(victims, nodes, strict=True):
        if fault.what == "pause":
            node.signal(signal.SIGCONT)
            continue
        if node.is_running:
            node.kill()
        rig.faulty.disks[victim].empty()
        node.launch()
    if fault.what != "pause":
        for node in nodes:
            node.await_answer(WHOLE_S)
    return rig.elected_s(began_at, victims)
