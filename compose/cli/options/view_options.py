"""The options that say which view is asked and as whom, for every command that asks one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from taskstream.compose.cli.options.token_option import token_of
from taskstream.compose.view_client import ViewClient

Command = TypeVar("Command", bound=Callable[..., Any])
_FILE = click.Path(dir_okay=False, path_type=Path)
_endpoint = click.option(
    "--endpoint",
    default="http://127.0.0.1:8081",
    metavar="URL",
    envvar="TASKSTREAM_TASKS_ENDPOINT",
    help="The view: http(s)://host[:port][/prefix].",
)
_token_file = click.option(
    "--token-file",
    type=_FILE,
    envvar="TASKSTREAM_TASKS_TOKEN_FILE",
    help="A file that holds the token; read anew for each request, so it may be rotated.",
)
_token = click.option(
    "--token",
    envvar="TASKSTREAM_TASKS_TOKEN",
    help="The token itself. Other users can see a command line: better give it as TASKSTREAM_TASKS_TOKEN.",
)
_ca_file = click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    envvar="TASKSTREAM_TASKS_CA_FILE",
    help="Trust this CA alone.",
)


def view_options(command: Command) -> Command:
    """Give the command `client: ViewClient`, which it closes."""

    @functools.wraps(command)
    def with_client(
        *args: Any, endpoint: str, token_file: Path | None, token: str | None, ca_file: Path | None, **kwargs: Any
    ) -> Any:
        secret = token_of(token_file, token, "TASKSTREAM_TASKS_TOKEN")
        try:
            client = ViewClient(endpoint, secret, ca_file=ca_file)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--endpoint") from error
        return command(*args, client=client, **kwargs)

    decorated: Any = _endpoint(_token_file(_token(_ca_file(with_client))))
    return decorated  # type: ignore[no-any-return] # click's decorators give back what they are given, options added
