"""A file of credentials that is read again when it changes. It knows no kind of credential."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from taskstream.producer.errors import CredentialsUnusable
from taskstream.producer.private_file import exposure

CHECK_INTERVAL_S = 1.0
Entry = TypeVar("Entry")


class WatchedFile(Generic[Entry]):
    """The entries of a file, at most a second old.

    When the file cannot be read any more, the last good entries stay in force until the process ends, and `on_problem`
    is called once. So a deleted file revokes nothing: to revoke all access, empty the file.
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
        self._version: tuple[int, int, int, int] | None = None
        self._next_check_s = 0.0
        self._problem = ""
        """The last one that was reported; empty while the file can be read."""

    def load(self) -> None:
        """Read the file now.

        Raises:
            CredentialsUnusable: the file cannot be read, others than its owner may read or write it, or a line is
                invalid.
        """
        try:
            stat = self._path.stat()
            self._version = _version_of(stat)
            require_private(self._path, stat)
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
                    self._problem = ""
            except (OSError, CredentialsUnusable) as error:
                self._version = None
                self._report(str(error))
        return self._entries

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._on_problem(
                f"{problem}; the entries that were read last keep their access until the process restarts or the file "
                "can be read again"
            )


def require_private(path: Path, stat: os.stat_result) -> None:
    """Return when the file is private, see `exposure`.

    Raises:
        CredentialsUnusable: it is not; the message has the command that changes it.
    """
    problem = exposure(path, stat)
    if problem is not None:
        raise CredentialsUnusable(problem)


def json_lines(lines: Iterable[str], source: str) -> Iterator[tuple[str, Any]]:
    """Pairs of the location, for messages, and the JSON value of each line; blank lines and `#` comments are skipped.

    Raises:
        CredentialsUnusable: a line is not JSON; the message has its number and nothing of its content.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{source}, line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise CredentialsUnusable(f"{where}: not JSON") from error
        yield where, value


def _version_of(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode
