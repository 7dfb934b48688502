"""What the agent is asked to do and what it knows when it is done: facts only."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CopyJob:
    """Copy `source` to `destination`, and report it as the task `task_id`.

    `bwlimit_bps` is bytes a second over the whole copy, None for no limit. A report is sent every `interval_s`
    beside the copy; the last one of each subtask is tried until `deliver_within_s` after the copy has ended.
    `fsync` has each file on the disk before its name appears.
    """

    source: Path
    destination: Path
    task_id: str
    bwlimit_bps: int | None = None
    interval_s: float = 1.0
    deliver_within_s: float = 60.0
    fsync: bool = False


@dataclass(frozen=True, slots=True)
class Subtask:
    """One subtask as it ended, in the API's units: what its last report said."""

    name: str
    progress: int
    replicatesize: int
    totalsize: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ReportCounts:
    """Reports that the edge acknowledged, requests beyond each one's first, reports that were given up.

    `undelivered` names the subtasks whose last report was among those given up.
    """

    acknowledged: int = 0
    retried: int = 0
    failed: int = 0
    undelivered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the source that is not at the destination, and why; the path is fit for a terminal."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What the agent knows that it copied.

    `files` and `bytes` are the regular files that are at the destination now, of which
    `files_already_there` and `bytes_already_there` were found there and only `bytes_moved` were written.
    `specials` (sockets, pipes, devices) are left out on purpose and are no problem. `stopped` says why the
    copy ended early, "" when it did not.
    """

    files: int
    bytes: int
    files_already_there: int
    bytes_already_there: int
    bytes_moved: int
    links: int
    directories: int
    specials: int
    seconds: float
    problems: tuple[Problem, ...]
    subtasks: tuple[Subtask, ...]
    reports: ReportCounts
    stopped: str = ""

    @property
    def complete(self) -> bool:
        """Everything that could be copied is, and the edge knows the end of every subtask."""
        return not (self.problems or self.stopped or self.reports.undelivered)
