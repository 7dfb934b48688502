"""Which callers a server accepts: the options of the edge and the view."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from taskstream.compose.server.callers import CallerSettings
from taskstream.schemas.http.loopback import is_loopback

Command = TypeVar("Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)
_tokens = click.option(
    "--tokens",
    type=_FILE,
    help="A file of hashed tokens, which `taskstream tokens add` writes. It is read again when it changes.",
)
_keys = click.option(
    "--keys",
    type=_FILE,
    help="A file of access keys for SDK signatures, one JSON object per line: "
    '{"access", "secret", "project", "roles"}.',
)
_keystone = click.option(
    "--keystone",
    type=_FILE,
    help='A JSON file that describes a Keystone v3 identity service: {"url", "username", "password", "project"}, '
    'and optionally "domain", "ca_file", "roles", "cache_s", "response_s".',
)
_open = click.option(
    "--insecure-open",
    is_flag=True,
    help="Accept any token, for the project 'default' and with every role. Only on a loopback address.",
)


def authentication_options(command: Command) -> Command:
    """Give the command `callers: CallerSettings`; the command has an option --host."""

    @functools.wraps(command)
    def with_callers(
        *args: Any,
        host: str,
        tokens: Path | None,
        keys: Path | None,
        keystone: Path | None,
        insecure_open: bool,
        **kwargs: Any,
    ) -> Any:
        if insecure_open and not is_loopback(host):
            raise click.UsageError(f"--insecure-open needs a loopback address such as 127.0.0.1, and --host is {host}")
        callers = CallerSettings(tokens, keys, keystone, insecure_open)
        return command(*args, host=host, callers=callers, **kwargs)

    decorated: Any = _tokens(_keys(_keystone(_open(with_callers))))
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added
