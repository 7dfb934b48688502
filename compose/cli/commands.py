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
    users: str
    """Whom it is for: the heading that it stands under."""
    help: str


ALL = "To begin"
AGENTS = "For agents"
OPERATORS = "For operators"
ANALYSTS = "For analysts"
DEPLOYMENT = "For a deployment"
COMMANDS = {
    "up": Command("processes", ALL, "run Kafka, topics, edge, worker and view on this machine"),
    "demo": Command("processes", ALL, "migrate a folder through the whole pipeline (`make run`)"),
    "simulate": Command("agents", ALL, "send the reports of a simulated fleet of migrations"),
    "agent": Command("agents", AGENTS, "copy a directory tree and report it as a migration"),
    "tasks": Command("tasks", OPERATORS, "tasks of the view: list, show, watch, ack, mute, unmute"),
    "report": Command("tasks", OPERATORS, "print what is done, what ends by a time, what is stuck"),
    "slowdowns": Command("tasks", OPERATORS, "print which tasks slowed down together"),
    "doctor": Command("deployment", OPERATORS, "check a deployment from outside, with remedies"),
    "notify": Command("processes", OPERATORS, "tell an Alertmanager or a webhook of signals"),
    "lag": Command("topics", OPERATORS, "print the lag of consumer groups in records and seconds"),
    "rejected": Command("rejected", OPERATORS, "records that could not be read: list, show, redrive"),
    "replay": Command("replay", OPERATORS, "fold the reports again to print, compare or rebuild state; copy records"),
    "export": Command("topics", ANALYSTS, "export a range of a topic to Parquet, Arrow, CSV or NDJSON"),
    "lake": Command("topics", ANALYSTS, "follow topics into Parquet files by day and project"),
    "sql": Command("topics", ANALYSTS, "run a SQL query over reports, state, rates and signals"),
    "tail": Command("topics", ANALYSTS, "print the records of a topic as they arrive, decoded"),
    "schemas": Command("topics", ANALYSTS, "Avro schemas: list, show, check and register; AsyncAPI"),
    "calibration": Command("tasks", ANALYSTS, "print how often expected ends kept within their intervals"),
    "edge": Command("processes", DEPLOYMENT, "run the server that receives reports"),
    "worker": Command("processes", DEPLOYMENT, "fold the reports into state, rate windows and signals"),
    "view": Command("processes", DEPLOYMENT, "run the server of the tasks and of the web page"),
    "topics": Command("topics", DEPLOYMENT, "topics: list, create, check"),
    "config": Command("deployment", DEPLOYMENT, "print every setting and where its value comes from"),
    "size": Command("deployment", DEPLOYMENT, "print what a number of tasks needs: processes, memory, disk"),
    "tokens": Command("deployment", DEPLOYMENT, "create tokens for callers of the edge and the view"),
    "completion": Command("deployment", DEPLOYMENT, "print the completion script of bash, zsh or fish"),
}
"""In the order of the help."""


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
