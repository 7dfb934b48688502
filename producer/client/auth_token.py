"""The caller's token: where it comes from and what may be sent as one. It never shows the token itself."""

import re
from collections.abc import Callable
from pathlib import Path

from taskstream.producer.errors import TokenUnusable

_SENDABLE = re.compile(r"[\x21-\x7e]{1,16384}")


class AuthToken:
    """A token for the X-Auth-Token header, read anew for each request so that a rotated file is noticed."""

    def __init__(self, origin: str, text: Callable[[], str]) -> None:
        """`origin` is what may be shown in place of the token."""
        self._origin = origin
        self._text = text

    @classmethod
    def of(cls, value: str) -> "AuthToken":
        """The token itself."""
        return cls("given as a value", lambda: value)

    @classmethod
    def in_file(cls, path: Path) -> "AuthToken":
        """The token that the file holds, without the white space around it."""
        return cls(f"in {path}", lambda: _read(path))

    def read(self) -> str:
        """The token, fit for a header.

        Raises:
            TokenUnusable: the file cannot be read, or its content cannot be a token.
        """
        token = self._text().strip()
        if not _SENDABLE.fullmatch(token):
            raise TokenUnusable(
                f"the token {self._origin} is {_what_is_wrong(token)}: "
                "a token is 1 to 16,384 printable ASCII characters without spaces"
            )
        return token

    def __repr__(self) -> str:
        return f"AuthToken({self._origin})"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TokenUnusable(
            f"the token file {path} cannot be read ({error.strerror}): give the path of a readable file"
        ) from error
    except UnicodeDecodeError:
        # The decoding error holds the bytes of the file, so it does not travel on.
        raise TokenUnusable(f"the token file {path} is not text: give a file that holds the token") from None


def _what_is_wrong(token: str) -> str:
    if not token:
        return "empty"
    if len(token) > 16_384:
        return f"{len(token):,} characters long"
    return "not sendable as a header"
