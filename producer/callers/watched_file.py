"""A file of credentials that is read again when it changes. It knows no kind of credential."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from taskstream.producer.errors import CredentialsUnusable

CHECK_INTERVAL_S = 1.0
Entry = TypeVar("Entry")


class WatchedFile(Generic[Entry]):
    """What a file says, at most a second old.

    A file that cannot be read any more leaves the last good content in force, and `on_problem` is told once.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[list[str], str], dict[str, Entry]],
        on_problem: Callable[[str], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._parse = parse
        self._on_problem = on_problem
        self._clock_s = clock_s
        self._entries: dict[str, Entry] = {}
        self._version: tuple[int, int, int] | None = None
        self._next_check_s = 0.0

    def load(self) -> None:
        """Read it now.

        Raises:
            CredentialsUnusable: it cannot be read, or a line is wrong.
        """
        try:
            self._version = _version_of(self._path.stat())
            lines = self._path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsUnusable(f"{self._path} cannot be read: {error}") from error
        self._entries = self._parse(lines, str(self._path))

    def current(self) -> dict[str, Entry]:
        """The entries by their key."""
        now_s = self._clock_s()
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + CHECK_INTERVAL_S
            try:
                if _version_of(self._path.stat()) != self._version:
                    self.load()
            except (OSError, CredentialsUnusable) as error:
                self._on_problem(f"the last good entries stay in force: {error}")
        return self._entries


def _version_of(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
