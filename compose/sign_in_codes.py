"""Codes that sign a browser in once: a link with one is printed by `up`, and the view exchanges it for the token.

A code is a file in a folder that only its owner can read: its name is the code's hash, its content the token. Taking a
code removes its file, so that of two who use a link one gets the token.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

VALID_S = 600.0


class SignInCodes:
    """The codes in one folder, for the process that issues them and those that take them."""

    def __init__(self, folder: Path, now_s: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now_s = now_s

    def issue(self, token: str) -> str:
        """A new code for this token; codes that have expired are removed."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in self._folder.iterdir():
            if self._is_expired(each):
                each.unlink(missing_ok=True)
        code = secrets.token_urlsafe(24)
        path = self._path(code)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token)
        now_s = self._now_s()
        os.utime(path, (now_s, now_s))
        return code

    def take(self, code: str) -> str | None:
        """The token, and the code is gone; None: it was taken, has expired, or never was."""
        path = self._path(code)
        taken = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        expired = self._is_expired(path)
        try:
            path.rename(taken)  # of several that take it, this succeeds in one
        except OSError:
            return None
        token = taken.read_text("ascii")
        with contextlib.suppress(FileNotFoundError):
            taken.unlink()
        return None if expired else token

    def _path(self, code: str) -> Path:
        return self._folder / hashlib.sha256(code.encode(errors="surrogatepass")).hexdigest()

    def _is_expired(self, path: Path) -> bool:
        """Whether its time is over; a file that is gone is."""
        try:
            return not 0 <= self._now_s() - path.stat().st_mtime < VALID_S
        except OSError:
            return True
