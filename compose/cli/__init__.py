"""The command line: one file a noun, loaded only when it is asked for. Settings are built here and nowhere else."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from taskstream.compose.cli.commands import COMMANDS, load
from taskstream.compose.errors import ComposeError
from taskstream.consumer.errors import ConsumerError
from taskstream.producer.errors import ProducerError
from taskstream.schemas.errors import SchemasError

FAILURES = (ComposeError, SchemasError, ProducerError, ConsumerError)
"""The roots of what a command may end with: one sentence for the person at the terminal, and exit code 1."""


class _Noun(click.Group):
    """A group whose commands are imported when they are used: `taskstream topics` does not wait for the worker."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click calls it so)
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (as above)
        if cmd_name not in COMMANDS:
            return None
        return load(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (as above)
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.help) for name, each in sorted(COMMANDS.items())])

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
