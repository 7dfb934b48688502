"""The table of commands: which folder each is in, and its line in `taskstream --help`.

To add a command NAME, write `compose/cli/FOLDER/NAME.py` with a click command called NAME, and add its line here.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click


class Command(NamedTuple):
    """One line of the table."""

    folder: str
    help: str


COMMANDS = {
    "agent": Command("agents", "what runs on a migrated server: copy a tree and report it"),
    "demo": Command("processes", "one real migration through the whole pipeline (`make run`)"),
    "doctor": Command("deployment", "check a deployment from the outside, with remedies"),
    "edge": Command("processes", "serve the API that agents report to"),
    "export": Command("topics", "a part of a topic as one Parquet, Arrow, CSV or NDJSON file"),
    "lag": Command("topics", "records and seconds that groups are behind"),
    "rejected": Command("rejected", "records that could not be read: list, show, drive back"),
    "replay": Command("replay", "fold the stream again: state as it was, compared, written anew; copy records"),
    "schemas": Command("topics", "the Avro schemas: list, check against a registry, register; AsyncAPI"),
    "simulate": Command("agents", "a believable fleet of migrations that report"),
    "tasks": Command("tasks", "what the view knows of the migrations: list, show, watch"),
    "tail": Command("topics", "the records of a topic as they come, decoded"),
    "tokens": Command("deployment", "who may speak to the edge and the view: make a token"),
    "topics": Command("topics", "the topics: list, create, check"),
    "up": Command("processes", "Kafka, topics, edge, worker and view on this machine"),
    "view": Command("processes", "serve what is known of every migration"),
    "worker": Command("processes", "fold the stream of reports into state, windows and signals"),
}


def load(name: str) -> click.Command:
    """The command of this name, imported now.

    Raises:
        KeyError: the table has no such command.
    """
    module = importlib.import_module(f"taskstream.compose.cli.{COMMANDS[name].folder}.{name}")
    command: click.Command = getattr(module, name)
    return command
