"""A file that is read again when it changes. It knows no kind of content."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

CHECK_INTERVAL_S = 1.0
Content = TypeVar("Content")


class WatchedFile(Generic[Content]):
    """The content of a file, at most a second old.

    When the file cannot be read any more, the last good content stays until the process ends, and `on_problem` is
    called once for each new reason. It is tried again every second.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], Content],
        initial: Content,
        *,
        unusable: type[Exception],
        on_problem: Callable[[str], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """read: gives the content, or raises `unusable`. initial: before `load`. clock_s: monotonic seconds."""
        self._path = path
        self._read = read
        self._content = initial
        self._unusable = unusable
        self._on_problem = on_problem
        self._clock_s = clock_s
        self._version: tuple[int, ...] | None = None
        self._next_check_s = 0.0
        self._problem = ""
        """The last one that was reported; empty while the file can be read."""

    def load(self) -> None:
        """Read the file now.

        Raises:
            Exception: `unusable`, from `read`.
        """
        self._version = _version_of(self._path)
        self._content = self._read(self._path)

    def current(self) -> Content:
        """The content; it is the same object until the file changes."""
        now_s = self._clock_s()
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + CHECK_INTERVAL_S
            version = _version_of(self._path)
            if version is None or version != self._version:
                try:
                    self.load()
                    self._problem = ""
                except self._unusable as error:
                    self._version = None
                    self._report(str(error))
        return self._content

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._on_problem(problem)


def _version_of(path: Path) -> tuple[int, ...] | None:
    """Another one when the file has changed; None while it cannot be found."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode
