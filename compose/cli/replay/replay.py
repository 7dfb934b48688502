"""`taskstream replay`: its commands, each in a file of its own."""

from __future__ import annotations

import click

from taskstream.compose.cli.replay.copy import copy, load
from taskstream.compose.cli.replay.diff import diff, rebuild
from taskstream.compose.cli.replay.state import state


@click.group
def replay() -> None:
    """Fold the stream of reports again, with the worker's own code, or carry its records elsewhere.

    Nothing here changes anything unless it is told to --execute. A range's ends are a time (2026-11-23T08:00, UTC
    unless it says otherwise), a duration back from now (PT15M), earliest, latest, or @FILE of lines
    TOPIC,PARTITION,OFFSET, as Kafka's own tools write them.
    """


for command in (state, diff, rebuild, copy, load):
    replay.add_command(command)
