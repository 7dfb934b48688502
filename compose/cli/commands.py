"""The table of commands: the folder of each, and its line in `taskstream --help`.

To add a command NAME, write `compose/cli/FOLDER/NAME.py` with a click command called NAME, and add its line here.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click

HELP_NAMES = ("-h", "--help")


class Command(NamedTuple):
    """One line of the table."""

    folder: str
    help: str


COMMANDS = {
    "agent": Command("agents", "copy a directory tree and report it as a migration"),
    "calibration": Command("tasks", "print how often expected ends kept within their intervals"),
    "demo": Command("processes", "migrate a folder through the whole pipeline (`make run`)"),
    "doctor": Command("deployment", "check a deployment from outside, with remedies"),
    "edge": Command("processes", "run the server that receives reports"),
    "export": Command("topics", "export a range of a topic to Parquet, Arrow, CSV or NDJSON"),
    "lag": Command("topics", "print the lag of consumer groups in records and seconds"),
    "rejected": Command("rejected", "records that could not be read: list, show, redrive"),
    "replay": Command("replay", "fold the reports again to print, compare or rebuild state; copy records"),
    "schemas": Command("topics", "Avro schemas: list, show, check and register; AsyncAPI"),
    "simulate": Command("agents", "send the reports of a simulated fleet of migrations"),
    "tail": Command("topics", "print the records of a topic as they arrive, decoded"),
    "tasks": Command("tasks", "tasks of the view: list, show, watch"),
    "tokens": Command("deployment", "create tokens for callers of the edge and the view"),
    "topics": Command("topics", "topics: list, create, check"),
    "up": Command("processes", "run Kafka, topics, edge, worker and view on this machine"),
    "view": Command("processes", "run the server of the tasks and of the web page"),
    "worker": Command("processes", "fold the reports into state, rate windows and signals"),
}


def load(name: str) -> click.Command:
    """Import the command of this name.

    Raises:
        KeyError: the table has no such command.
    """
    module = importlib.import_module(f"taskstream.compose.cli.{COMMANDS[name].folder}.{name}")
    command: click.Command = getattr(module, name)
    _take_no_help_from_environment(command)
    return command


def _take_no_help_from_environment(command: click.Command) -> None:
    """An environment variable that happens to be called ..._HELP must not replace a command by its help."""
    option = command.get_help_option(click.Context(command, help_option_names=list(HELP_NAMES)))
    if isinstance(option, click.Option):
        option.allow_from_autoenv = False
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _take_no_help_from_environment(each)
