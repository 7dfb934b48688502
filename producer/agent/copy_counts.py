"""The counts of one copy, updated while it runs, and their conversion to a CopyResult. It does no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from taskstream.producer.agent.job import CopyResult, Problem, ReportCounts, Subtask
from taskstream.producer.agent.tree import Entry, EntryKind, printable


@dataclass(slots=True)
class CopyCount:
    """The number of entries by kind, and the bytes of the files."""

    files: int = 0
    bytes: int = 0
    links: int = 0
    directories: int = 0

    def add(self, entry: Entry, size: int) -> None:
        """Count one entry; `size` is in bytes, 0 for anything but a file."""
        self.files += entry.kind is EntryKind.FILE
        self.links += entry.kind is EntryKind.LINK
        self.directories += entry.kind is EntryKind.DIRECTORY
        self.bytes += size


@dataclass(slots=True)
class CopyCounts:
    """The counts of one copy."""

    at_destination: CopyCount = field(default_factory=CopyCount)
    """Entries that are up to date at the destination."""
    already_there: CopyCount = field(default_factory=CopyCount)
    """Those of them that were up to date before the copy."""
    specials: int = 0
    """Sockets, pipes and devices, which are not copied."""
    failures: int = 0
    """Entries of the current subtask that could not be copied."""
    problems: dict[str, str] = field(default_factory=dict)
    """[path] Why the entry is not at the destination."""
    subtasks: list[Subtask] = field(default_factory=list)

    def add_failure(self, path: str, reason: str) -> None:
        """Record that an entry could not be copied in this subtask."""
        self.problems[path] = reason
        self.failures += 1

    def add_vanished(self, path: str) -> None:
        """Record that an entry disappeared from the source. It does not keep the subtask from completing."""
        self.problems[path] = "gone before it could be copied"

    def clear_problems(self, entries: Iterable[Entry]) -> None:
        """Forget the problems of these entries, before they are tried again."""
        if self.problems:
            for entry in entries:
                self.problems.pop(entry.path, None)

    def summary(self) -> str:
        """One line for a report's process_trace."""
        failed = f", {len(self.problems):,} could not be copied" if self.problems else ""
        files, size = self.at_destination.files, self.at_destination.bytes
        return f"{files:,} files of {size:,} bytes are at the destination{failed}"

    def result(self, *, seconds: float, bytes_moved: int, reports: ReportCounts, stopped: str) -> CopyResult:
        """The result of the copy; `stopped` is the reason for an early end, or ""."""
        return CopyResult(
            files=self.at_destination.files,
            bytes=self.at_destination.bytes,
            files_already_there=self.already_there.files,
            bytes_already_there=self.already_there.bytes,
            bytes_moved=bytes_moved,
            links=self.at_destination.links,
            directories=self.at_destination.directories,
            specials=self.specials,
            seconds=seconds,
            problems=tuple(Problem(printable(path), reason) for path, reason in self.problems.items()),
            subtasks=tuple(self.subtasks),
            reports=reports,
            stopped=stopped,
        )
