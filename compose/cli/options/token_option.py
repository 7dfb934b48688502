"""The token that a command speaks with: in a file, or itself, one of the two."""

from __future__ import annotations

from pathlib import Path

import click

from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.errors import TokenUnusable


def token_of(file: Path | None, value: str | None, variable: str) -> AuthToken:
    """The token, which can be sent as it is now; `variable` is the environment's name for the value.

    Raises:
        click.UsageError: none was given, or both were, or it cannot be sent.
    """
    if (value is None) == (file is None):
        raise click.UsageError(f"give the token with --token-file or as {variable}, one of the two")
    token = AuthToken.in_file(file) if file is not None else AuthToken.of(value or "")
    try:
        token.read()
    except TokenUnusable as error:
        raise click.UsageError(str(error)) from error
    return token
