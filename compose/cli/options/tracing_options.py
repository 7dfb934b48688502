"""The option that names a collector of spans, and the import of what it needs: an extra that may be missing."""

from __future__ import annotations

from types import ModuleType

import click

from taskstream.compose.cli.extra_modules import server_module

otel_option = click.option(
    "--otel-endpoint",
    metavar="URL",
    help="The URL of an OpenTelemetry collector (OTLP over HTTP); reports and commits are then traced.",
)


def tracing_module(name: str) -> ModuleType:
    """The module of this name in `compose/server/`.

    Raises:
        click.UsageError: the extra is not installed.
    """
    return server_module(name, "--otel-endpoint", "otel")
