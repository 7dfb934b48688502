"""The options that bound what a client of a server may cost: its connections, its headers and its time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.compose.server.bounded_http import HttpBounds

Command = Callable[..., Any]
_POSITIVE = click.IntRange(1)
_SECONDS = Seconds(may_be_least=False)
_BOUND = HttpBounds()
PER_ADDRESS = 1_024
_OPTIONS = (
    click.option(
        "--max-connections", default=_BOUND.connections, type=_POSITIVE, help="Maximum connections, per process."
    ),
    click.option(
        "--max-connections-per-address",
        default=PER_ADDRESS,
        type=click.IntRange(0),
        help="Maximum connections of one client address, per process; 0: no limit per address, for a server behind a "
        "proxy.",
    ),
    click.option(
        "--max-headers", default=_BOUND.header_bytes, type=_POSITIVE, help="Maximum bytes of a request's headers."
    ),
    click.option(
        "--request-timeout", default=_BOUND.request_s, type=_SECONDS, help="The time to receive a whole request."
    ),
    click.option(
        "--idle-timeout",
        default=_BOUND.idle_s,
        type=_SECONDS,
        help="The time that a connection may be idle between two requests.",
    ),
    click.option(
        "--write-timeout",
        default=_BOUND.write_s,
        type=_SECONDS,
        help="The time that a response waits for a client that reads nothing of it.",
    ),
)


def connection_options(command: Command) -> Command:
    """Give the command `bounds: HttpBounds`."""

    @functools.wraps(command)
    def with_bounds(**kwargs: Any) -> Any:
        bounds = HttpBounds(
            header_bytes=kwargs.pop("max_headers"),
            connections=kwargs.pop("max_connections"),
            connections_per_address=kwargs.pop("max_connections_per_address"),
            request_s=kwargs.pop("request_timeout"),
            idle_s=kwargs.pop("idle_timeout"),
            write_s=kwargs.pop("write_timeout"),
        )
        return command(bounds=bounds, **kwargs)

    decorated: Any = with_bounds
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added
