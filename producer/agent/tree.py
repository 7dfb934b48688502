"""Lists a directory tree without following links or opening files. Paths are relative; names may be any bytes."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from taskstream.schemas.terminal_text import terminal_text


class EntryKind(Enum):
    """The kinds of entries that the copy distinguishes."""

    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"
    SPECIAL = "special"  # sockets, pipes, devices


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the tree, from lstat. `size` is in bytes, 0 for all but files.

    The path is relative, "" for the root. Bytes that are not UTF-8 are surrogate escapes, as `os.fsdecode` makes them.
    """

    path: str
    kind: EntryKind
    size: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> "Entry":
        """The entry for the result of an lstat."""
        kind = _kind(status.st_mode)
        size = status.st_size if kind is EntryKind.FILE else 0
        mode = stat.S_IMODE(status.st_mode)
        return cls(path, kind, size, status.st_mtime_ns, mode, status.st_uid, status.st_gid)


@dataclass(slots=True)
class Listing:
    """The entries, each folder before its content, and the paths that could not be read, each with its error."""

    entries: list[Entry] = field(default_factory=list)
    unreadable: list[tuple[str, OSError]] = field(default_factory=list)

    def of_kind(self, kind: EntryKind) -> list[Entry]:
        """The entries of one kind, in order."""
        return [entry for entry in self.entries if entry.kind is kind]

    def copiable(self) -> list[Entry]:
        """All entries but the special ones, in order."""
        return [entry for entry in self.entries if entry.kind is not EntryKind.SPECIAL]

    @property
    def bytes(self) -> int:
        """The total size of the files in bytes."""
        return sum(entry.size for entry in self.entries)


def scan(root: Path, on_directory: Callable[[str], None] = lambda _: None) -> Listing:
    """List the tree, sorted by name within each folder. A listing takes about 300 bytes of memory per entry.

    `on_directory` is called with the path of each folder before it is read, and may raise to stop the scan.

    Raises:
        OSError: the root itself cannot be read.
    """
    listing = Listing(entries=[Entry.of("", root.lstat())])
    folders = [""]
    while folders:
        folder = folders.pop()
        on_directory(folder)
        inside = []
        for name in _names(root, folder, listing):
            path = f"{folder}/{name}" if folder else name
            try:
                entry = Entry.of(path, (root / path).lstat())
            except OSError as error:
                listing.unreadable.append((path, error))
                continue
            listing.entries.append(entry)
            if entry.kind is EntryKind.DIRECTORY:
                inside.append(path)
        folders.extend(reversed(inside))
    return listing


def printable(path: str | Path) -> str:
    """The path as one printable line: control characters and bytes that are not UTF-8 are escaped; "." for ""."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return terminal_text(text) or "."


def _names(root: Path, folder: str, listing: Listing) -> list[str]:
    try:
        with os.scandir(root / folder) as inside:
            return sorted(item.name for item in inside)
    except OSError as error:
        listing.unreadable.append((folder, error))
        return []


def _kind(mode: int) -> EntryKind:
    if stat.S_ISDIR(mode):
        return EntryKind.DIRECTORY
    if stat.S_ISREG(mode):
        return EntryKind.FILE
    if stat.S_ISLNK(mode):
        return EntryKind.LINK
    return EntryKind.SPECIAL
