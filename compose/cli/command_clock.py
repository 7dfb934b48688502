"""The clock of a command: the system clock, or the one that the caller of `cli` passes.

`cli(obj=CommandClock(now_us))` runs a command with another clock, for programs that must not depend on the time of day.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class CommandClock:
    """`now_us()` returns the time in microseconds since 1970."""

    now_us: Callable[[], int] = lambda: time.time_ns() // 1000


def command_clock() -> CommandClock:
    """The clock of the current command."""
    return click.get_current_context().find_object(CommandClock) or CommandClock()
