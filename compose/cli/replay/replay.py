"""`taskstream replay`: the group of commands; each command has its own file."""

from __future__ import annotations

import click

from taskstream.compose.cli.replay.copy import copy
from taskstream.compose.cli.replay.diff import diff
from taskstream.compose.cli.replay.load import load
from taskstream.compose.cli.replay.rebuild import rebuild
from taskstream.compose.cli.replay.state import state


@click.group
def replay() -> None:
    """Fold the reports again with the worker's own code, or copy records.

    Commands that write to Kafka do so only with --execute. A BOUND is a time (2026-11-23T08:00, in UTC unless it has
    an offset), a duration before now (15m), earliest, latest, or @FILE with lines TOPIC,PARTITION,OFFSET, the
    format of Kafka's own tools.
    """


for command in (state, diff, rebuild, copy, load):
    replay.add_command(command)
