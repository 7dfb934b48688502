"""`taskstream rejected`: the group of commands; each command has its own file."""

from __future__ import annotations

import click

from taskstream.compose.cli.rejected.list_rejected import list_rejected
from taskstream.compose.cli.rejected.redrive import redrive_rejected
from taskstream.compose.cli.rejected.show import show_rejected


@click.group
def rejected() -> None:
    """Inspect records that could not be read, and redrive them.

    A worker that cannot read a record writes it to PREFIX.rejected unchanged, with the reason in its headers. The
    commands name a rejected record by its PARTITION:OFFSET on that topic.
    """


for command in (list_rejected, show_rejected, redrive_rejected):
    rejected.add_command(command)
