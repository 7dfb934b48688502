"""The input and the result of a copy, as data."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CopyJob:
    """Copy `source` to `destination`, and report it as the task `task_id`.

    `bwlimit_bps` limits the copy to that many bytes per second, None for no limit. A report is sent every
    `interval_s` seconds; the final report of each subtask is retried until `deliver_within_s` after the end of the
    copy. With `fsync`, each file is flushed to disk before it is renamed to its name.
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
    """The final figures of one subtask, as in its final report; sizes in bytes, progress in percent."""

    name: str
    progress: int
    replicatesize: int
    totalsize: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ReportCounts:
    """Reports that the edge acknowledged, requests beyond the first of each report, and reports that failed.

    `undelivered` lists the subtasks whose final report failed.
    """

    acknowledged: int = 0
    retried: int = 0
    failed: int = 0
    undelivered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry of the source that is not at the destination, and why. The path is escaped for a terminal."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class CopyResult:
    """The result of a copy.

    `files` and `bytes` count the regular files that are at the destination now. Of these, `files_already_there` and
    `bytes_already_there` were there before the copy; `bytes_moved` were written by it. `specials` counts sockets,
    pipes and devices, which are never copied. `stopped` is the reason for an early end, "" if there was none.
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
        """Whether every entry was copied and the edge acknowledged the final report of every subtask."""
        return not (self.problems or self.stopped or self.reports.undelivered)
