"""The clock of a command: the system's, unless whoever runs the command line passes another one.

`cli(obj=CommandClock(now_us))` runs a command with another clock. A program that must not depend on the time of day
does that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class CommandClock:
    """`now_us()` gives microseconds since 1970."""

    now_us: Callable[[], int] = lambda: time.time_ns() // 1000


def command_clock() -> CommandClock:
    """The clock of the command that runs now."""
    return click.get_current_context().find_object(CommandClock) or CommandClock()
