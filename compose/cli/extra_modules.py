"""The import of what an option needs that is installed with an extra only."""

from __future__ import annotations

import importlib
from types import ModuleType

import click


def server_module(name: str, option: str, extra: str) -> ModuleType:
    """The module of this name in `compose/server/`, for an option that needs an extra.

    Raises:
        click.UsageError: the extra is not installed.
    """
    try:
        return importlib.import_module(f"taskstream.compose.server.{name}")
    except ImportError as error:
        raise click.UsageError(f"{option} requires an extra: pip install 'taskstream[{extra}]' ({error})") from error
