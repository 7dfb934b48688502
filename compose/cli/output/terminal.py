"""The only way by which a command writes text to a terminal; it escapes what could control the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from taskstream.compose.cli.output.streams import is_unicode
from taskstream.schemas.terminal_text import terminal_json, terminal_lines


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Write lines to standard output, or to standard error; escape text of unknown origin in them before."""
    click.echo(terminal_lines(text), err=err, nl=nl)


def echo_json(value: object, *, indent: int | None = None, default: Callable[[object], object] | None = None) -> None:
    """Write a value as JSON to standard output; in an encoding other than UTF-8, with JSON's escapes."""
    click.echo(terminal_json(value, indent, default, ascii_only=not is_unicode(sys.stdout)))
