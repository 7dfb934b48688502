"""The view that a command queries, and the credentials that it sends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from taskstream.compose.cli.options.token_options import token_of, token_options
from taskstream.compose.view_client import ViewClient

Command = TypeVar("Command", bound=Callable[..., Any])
_TOKEN_VARIABLE = "TASKSTREAM_TASKS_TOKEN"  # noqa: S105 (the name of a variable)
_endpoint = click.option(
    "--endpoint",
    default="http://127.0.0.1:8081",
    metavar="URL",
    envvar="TASKSTREAM_TASKS_ENDPOINT",
    help="The view: http(s)://host[:port][/prefix].",
)


def view_options(command: Command) -> Command:
    """Give the command `client: ViewClient`; the command closes it."""

    @functools.wraps(command)
    def with_client(
        *args: Any, endpoint: str, token_file: Path | None, token: str | None, ca_file: Path | None, **kwargs: Any
    ) -> Any:
        secret = token_of(token_file, token, _TOKEN_VARIABLE)
        try:
            client = ViewClient(endpoint, secret, ca_file=ca_file)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--endpoint") from error
        return command(*args, client=client, **kwargs)

    decorated: Any = _endpoint(token_options(_TOKEN_VARIABLE)(with_client))
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added
