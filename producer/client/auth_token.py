"""The client's token: its source, and the check that it is usable as a header. It never shows the token."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from taskstream.producer.errors import TokenUnusable
from taskstream.producer.private_file import exposure

_SENDABLE = re.compile(r"[\x21-\x7e]{1,16384}")


class AuthToken:
    """A token for the X-Auth-Token header. It is read before each request, so that a rotated file takes effect."""

    def __init__(self, origin: str, text: Callable[[], str]) -> None:
        """`origin` describes the source of the token in messages; `text` returns the token."""
        self._origin = origin
        self._text = text

    @classmethod
    def of(cls, value: str) -> "AuthToken":
        """A token with this value."""
        return cls("given as a value", lambda: value)

    @classmethod
    def in_file(cls, path: Path) -> "AuthToken":
        """The token in a file, without surrounding white space."""
        return cls(f"in {path}", lambda: _read(path))

    def read(self) -> str:
        """The token.

        Raises:
            TokenUnusable: the file cannot be read or is not private, or the token is not 1 to 16,384 printable ASCII
                characters.
        """
        token = self._text().strip()
        if not _SENDABLE.fullmatch(token):
            raise TokenUnusable(
                f"the token {self._origin} is {_defect(token)}: "
                "a token is 1 to 16,384 printable ASCII characters without spaces"
            )
        return token

    def __repr__(self) -> str:
        return f"AuthToken({self._origin})"


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            problem = exposure(path, os.fstat(file.fileno()))
            if problem is not None:
                raise TokenUnusable(f"the token file {problem}")
            return file.read()
    except OSError as error:
        raise TokenUnusable(
            f"the token file {path} cannot be read ({error.strerror}): give the path of a readable file"
        ) from error
    except UnicodeDecodeError:
        # `from None`: the decoding error would show the file's bytes in the traceback.
        raise TokenUnusable(f"the token file {path} is not text: give a file that holds the token") from None


def _defect(token: str) -> str:
    if not token:
        return "empty"
    if len(token) > 16_384:
        return f"{len(token):,} characters long"
    return "not usable as a header"
