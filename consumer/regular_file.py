"""Opens a file for writing that another user may have replaced by a link: in a folder such as /tmp, a trap."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any


def open_regular(path: Path, mode: str, encoding: str | None = None) -> Any:
    """`path.open(mode)`, but a symbolic link is not followed.

    Raises:
        OSError: the path is a symbolic link, or cannot be opened.
    """
    return open(path, mode, encoding=encoding, opener=_open)


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed: remove it", path) from error
        raise
