"""What the agent knows that it has done, kept up as it goes; it becomes the result."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from taskstream.producer.agent.job import CopyResult, Problem, ReportCounts, Subtask
from taskstream.producer.agent.tree import Entry, EntryKind, readable


@dataclass(slots=True)
class CopyCount:
    """Entries by kind, and the bytes of the files among them."""

    files: int = 0
    bytes: int = 0
    links: int = 0
    directories: int = 0

    def add(self, entry: Entry, size: int) -> None:
        """One more entry, of so many bytes."""
        self.files += entry.kind is EntryKind.FILE
        self.links += entry.kind is EntryKind.LINK
        self.directories += entry.kind is EntryKind.DIRECTORY
        self.bytes += size


@dataclass(slots=True)
class CopyCounts:
    """`there` is at the destination, `found` was there already; `undone` counts this subtask's failures."""

    there: CopyCount = field(default_factory=CopyCount)
    found: CopyCount = field(default_factory=CopyCount)
    specials: int = 0
    undone: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    subtasks: list[Subtask] = field(default_factory=list)

    def failed(self, path: str, reason: str) -> None:
        """The entry could not be brought to the destination, this time."""
        self.problems[path] = reason
        self.undone += 1

    def gone(self, path: str) -> None:
        """The entry has left the source before it could be copied: nothing of it is left to do."""
        self.problems[path] = "gone before it could be copied"

    def retry(self, entries: Iterable[Entry]) -> None:
        """Whatever was wrong with these is forgotten: they are about to be tried again."""
        if self.problems:
            for entry in entries:
                self.problems.pop(entry.path, None)

    def summary(self) -> str:
        """One line for the trace."""
        failed = f", {len(self.problems):,} could not be copied" if self.problems else ""
        return f"{self.there.files:,} files of {self.there.bytes:,} bytes are at the destination{failed}"

    def result(self, *, seconds: float, bytes_moved: int, reports: ReportCounts, stopped: str) -> CopyResult:
        """The facts for whoever asked."""
        return CopyResult(
            files=self.there.files,
            bytes=self.there.bytes,
            files_already_there=self.found.files,
            bytes_already_there=self.found.bytes,
            bytes_moved=bytes_moved,
            links=self.there.links,
            directories=self.there.directories,
            specials=self.specials,
            seconds=seconds,
            problems=tuple(Problem(readable(path), reason) for path, reason in self.problems.items()),
            subtasks=tuple(self.subtasks),
            reports=reports,
            stopped=stopped,
        )
