"""Opens a file that another user may have replaced by a link, in a folder such as /tmp a trap; and locks a file."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any, BinaryIO

from taskstream.schemas.errors import cause_of


def open_regular(path: Path, mode: str, encoding: str | None = None) -> Any:
    """`path.open(mode)`, but a symbolic link is not followed.

    Raises:
        OSError: the path is a symbolic link, or cannot be opened.
    """
    return open(path, mode, encoding=encoding, opener=_open)


def lock_alone(file: BinaryIO, taken: Exception) -> None:
    """Lock an open file until it is closed or the process ends.

    Raises:
        taken: another process has locked it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise taken from error


def unwritable(path: Path, error: OSError) -> str:
    """Why this file cannot be written, and what to do."""
    return f"{path} cannot be written ({cause_of(error)}): name a file in a folder that can be, on a disk with space"


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed: remove it", path) from error
        raise
