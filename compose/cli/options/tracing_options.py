"""The option that names a collector of spans, and the import of what it needs: an extra that may be missing."""

from __future__ import annotations

import importlib
from types import ModuleType

import click

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
    try:
        return importlib.import_module(f"taskstream.compose.server.{name}")
    except ImportError as error:
        raise click.UsageError(
            f"--otel-endpoint requires an extra: pip install 'taskstream[otel]' ({error})"
        ) from error
