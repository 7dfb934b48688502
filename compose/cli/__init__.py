"""The command line: one file a noun, loaded only when it is asked for. Settings are built here and nowhere else."""

from __future__ import annotations

import importlib
import sys
from typing import Any, NoReturn

import click

from taskstream.compose.errors import ComposeError
from taskstream.consumer.errors import ConsumerError
from taskstream.producer.errors import ProducerError
from taskstream.schemas.errors import SchemasError

COMMANDS = {
    "agent": "what runs on a migrated server: copy a tree and report it",
    "demo": "one real migration through the whole pipeline (`make run`)",
    "doctor": "check a deployment from the outside, with remedies",
    "edge": "serve the API that agents report to",
    "export": "a part of a topic as one Parquet, Arrow, CSV or NDJSON file",
    "lag": "records and seconds that groups are behind",
    "rejected": "records that could not be read: list, show, drive back",
    "replay": "fold the stream again: state as it was, compared, written anew; copy records",
    "schemas": "the Avro schemas: list, check against a registry, register; AsyncAPI",
    "simulate": "a believable fleet of migrations that report",
    "tasks": "what the view knows of the migrations: list, show, watch",
    "tail": "the records of a topic as they come, decoded",
    "tokens": "who may speak to the edge and the view: make a token",
    "topics": "the topics: list, create, check",
    "up": "Kafka, topics, edge, worker and view on this machine",
    "view": "serve what is known of every migration",
    "worker": "fold the stream of reports into state, windows and signals",
}
FAILURES = (ComposeError, SchemasError, ProducerError, ConsumerError)
"""The roots of what a command may end with: one sentence for the person at the terminal, and exit code 1."""


class _Noun(click.Group):
    """A group whose commands are imported when they are used: `taskstream topics` does not wait for the worker."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click calls it so)
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (as above)
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"taskstream.compose.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (as above)
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FAILURES as error:
            raise click.ClickException(str(error)) from error


@click.group(
    cls=_Noun,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "TASKSTREAM", "show_default": True},
    epilog="Each option also reads an environment variable: --edge-port of `up` is TASKSTREAM_UP_EDGE_PORT.",
)
@click.version_option(package_name="taskstream")
def cli() -> None:
    """Server-migration progress as an event stream.

    Start with `taskstream up`: it brings a local Kafka, the edge, a worker and the view, and prints a curl line.
    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """


def main() -> NoReturn:
    """Run the command line and exit."""
    sys.exit(cli(prog_name="taskstream"))
