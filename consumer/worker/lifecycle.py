"""The states of a worker, and the only transitions between them. Pure: it does nothing but check.

    STARTING ──► IDLE ◄──► FOLDING ──► COMMITTING ──► IDLE
                  │           │            │
                  │           └─► ABORTING ◄┤          the transaction has failed, or partitions are lost
                  │                  │      │
                  │                  └──► REBUILDING   the producer is lost
                  ├──► RESTORING ──► IDLE              partitions are assigned
                  └──► STOPPING ──► STOPPED

ABORTING and REBUILDING end in IDLE. Every state but STOPPED can end in FAILED.
"""

from __future__ import annotations

from enum import Enum, auto


class WorkerState(Enum):
    """What a worker is doing."""

    STARTING = auto()
    """It is not yet a member of its group."""
    IDLE = auto()
    """No work is open: the table and the positions are as they are committed."""
    FOLDING = auto()
    """Work is open: the table and the positions are ahead of Kafka. No transaction has begun."""
    COMMITTING = auto()
    """Records and positions are sent in a transaction."""
    ABORTING = auto()
    """The table and the positions are put back to what is committed."""
    REBUILDING = auto()
    """A new producer is built, and the state of all held partitions is read back from Kafka."""
    RESTORING = auto()
    """The state of newly assigned partitions is read back from Kafka."""
    STOPPING = auto()
    """All work is committed or rolled back; it leaves its group."""
    STOPPED = auto()
    """It has left its group."""
    FAILED = auto()
    """An error ended it; open work is discarded, and Kafka aborts the open transaction."""


_NEXT = {
    WorkerState.STARTING: {WorkerState.IDLE},
    WorkerState.IDLE: {WorkerState.FOLDING, WorkerState.RESTORING, WorkerState.STOPPING},
    WorkerState.FOLDING: {WorkerState.COMMITTING, WorkerState.ABORTING},
    WorkerState.COMMITTING: {WorkerState.IDLE, WorkerState.ABORTING, WorkerState.REBUILDING},
    WorkerState.ABORTING: {WorkerState.IDLE, WorkerState.REBUILDING},
    WorkerState.REBUILDING: {WorkerState.IDLE},
    WorkerState.RESTORING: {WorkerState.IDLE},
    WorkerState.STOPPING: {WorkerState.STOPPED},
}
TRANSITIONS = frozenset(
    {(before, after) for before, afters in _NEXT.items() for after in afters}
    | {(before, WorkerState.FAILED) for before in _NEXT}
)
"""Every valid (before, after)."""


class InvalidTransition(RuntimeError):
    """The worker's code is wrong: it tried to go from one state to another that does not follow it."""


class WorkerLifecycle:
    """The state of one worker; it begins as STARTING."""

    def __init__(self) -> None:
        self.state = WorkerState.STARTING

    def move(self, to: WorkerState) -> None:
        """Go to another state.

        Raises:
            InvalidTransition: it does not follow the present one; the state stays.
        """
        if (self.state, to) not in TRANSITIONS:
            raise InvalidTransition(f"a worker cannot go from {self.state.name} to {to.name}")
        self.state = to
