"""`taskstream rejected`: its commands, each in a file of its own."""

from __future__ import annotations

import click

from taskstream.compose.cli.rejected.list_rejected import list_rejects
from taskstream.compose.cli.rejected.redrive import redrive_rejects
from taskstream.compose.cli.rejected.show import show


@click.group
def rejected() -> None:
    """Look through records that could not be read, and drive them back when they can.

    A worker that cannot read a record puts it on PREFIX.rejected as it was received, with the reason in its headers.
    One is called by where it lies there: PARTITION:OFFSET.
    """


for command in (list_rejects, show, redrive_rejects):
    rejected.add_command(command)
