"""Files of credentials: read as lines, refused unless they are private, and read again when they change.

It knows no kind of credential.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from taskstream.producer.errors import CredentialsUnusable
from taskstream.producer.private_file import exposure
from taskstream.schemas.errors import cause_of
from taskstream.schemas.watched_file import WatchedFile

Entry = TypeVar("Entry")


def credentials_file(
    path: Path,
    parse: Callable[[list[str], str], dict[str, Entry]],
    on_problem: Callable[[str], None],
    clock_s: Callable[[], float] = time.monotonic,
) -> WatchedFile[dict[str, Entry]]:
    """The entries of a file by their key.

    `load` raises CredentialsUnusable: the file cannot be read, others than its owner may read or write it, or a line is
    invalid.

    A file that cannot be read any more, as one that was deleted, revokes nothing: to revoke all access, empty the file.
    """

    def read(path: Path) -> dict[str, Entry]:
        try:
            require_private(path, path.stat())
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsUnusable(
                f"{path} cannot be read ({cause_of(error)}): give the path of a readable file"
            ) from error
        return parse(lines, str(path))

    def report(problem: str) -> None:
        on_problem(
            f"{problem}; the entries that were read last keep their access until the process restarts or the file "
            "can be read again"
        )

    return WatchedFile(path, read, {}, unusable=CredentialsUnusable, on_problem=report, clock_s=clock_s)


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
