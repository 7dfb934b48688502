"""The credentials that a client command sends: a token from a file or as a value, and the CA that it trusts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.errors import TokenUnusable

Command = TypeVar("Command", bound=Callable[..., Any])


def token_options(variable: str) -> Callable[[Command], Command]:
    """Give the command `token_file`, `token` and `ca_file`; the environment variable of the token is `variable`.

    `variable` is X_TOKEN; the environment variables of the other two are X_TOKEN_FILE and X_CA_FILE.
    """

    def add(command: Command) -> Command:
        stem = variable.removesuffix("_TOKEN")
        file = click.Path(dir_okay=False, path_type=Path)
        existing = click.Path(dir_okay=False, exists=True, path_type=Path)
        decorated: Any = command
        for option in (
            click.option(
                "--ca-file", type=existing, envvar=f"{stem}_CA_FILE", help="Trust only this certificate authority."
            ),
            click.option(
                "--token",
                envvar=variable,
                help=f"The token. Other users can see command lines: prefer the variable {variable}.",
            ),
            click.option(
                "--token-file",
                type=file,
                envvar=f"{variable}_FILE",
                help="A file with the token; it is read again for each request, so that it can be rotated.",
            ),
        ):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added

    return add


def token_of(file: Path | None, value: str | None, variable: str) -> AuthToken:
    """The token, checked to be one that an HTTP header can carry.

    Raises:
        click.UsageError: not exactly one of `file` and `value` is given, or the token cannot be sent.
    """
    if (value is None) == (file is None):
        raise click.UsageError(f"give the token either with --token-file or as {variable}")
    token = AuthToken.in_file(file) if file is not None else AuthToken.of(value or "")
    try:
        token.read()
    except TokenUnusable as error:
        raise click.UsageError(str(error)) from error
    return token
