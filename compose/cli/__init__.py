"""The command line. Settings are built here, from options, environment variables and a file, and nowhere else.

`commands.py` is the table of commands; each folder holds a group of them.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import itertools
import os
import platform
import sys
from collections import UserDict
from pathlib import Path
from typing import IO, Any, NoReturn

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from taskstream.compose.cli.commands import COMMANDS, HELP_NAMES, load
from taskstream.compose.cli.options.settings_file import SettingsFile, environment_variable
from taskstream.compose.cli.output.streams import open_streams
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.errors import ComposeError, OutputUnwritable
from taskstream.compose.remedies import message_of
from taskstream.consumer.errors import ConsumerError
from taskstream.producer.errors import ProducerError
from taskstream.schemas.errors import SchemasError
from taskstream.schemas.terminal_text import terminal_lines

FAILURES = (ComposeError, SchemasError, ProducerError, ConsumerError)
"""The errors that end a command with one sentence on standard error and exit code 1."""

_LIBRARIES = ("confluent-kafka", "fastavro", "numba", "numpy", "pyarrow")


class _Commands(UserDict[str, click.Command]):
    """The table by name; a command is imported when it is taken: `taskstream topics` does not import the worker."""

    def __getitem__(self, name: str) -> click.Command:
        return load(name)


class _Failure(click.ClickException):
    """The last line of a command that failed: a sentence, or an event where a process logs in JSON."""

    def show(self, file: IO[Any] | None = None) -> None:
        from taskstream.compose.cli.output.logs import announce_failure  # noqa: PLC0415 (slow to load, for failures alone)

        if not announce_failure(self.message):
            super().show(file)


class _CommandTable(click.Group):
    """A group of the table's commands; its help and its completions are the table's lines."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands(dict.fromkeys(COMMANDS, click.Command(None)))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        for users, lines in itertools.groupby(COMMANDS.items(), lambda line: line[1].users):
            with formatter.section(users):
                formatter.write_dl([(name, each.help) for name, each in lines])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name, help=COMMANDS[name].help) for name in COMMANDS if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of the library is printed with its remedy."""
        try:
            return super().invoke(ctx)
        except FAILURES as error:
            raise _Failure(terminal_lines(message_of(error))) from error
        except click.BadParameter as error:
            words = terminal_lines(error.message) + _origin(error)
            raise type(error)(words, error.ctx, error.param, error.param_hint) from error
        except click.ClickException as error:
            shown = terminal_lines(error.message)
            if shown == error.message:
                raise
            raise click.ClickException(shown) from error


def _origin(error: click.BadParameter) -> str:
    """Where the value came from, if that was an environment variable: nobody typed it on the command line."""
    if error.ctx is None or error.param is None or error.param.name is None:
        return ""
    if error.ctx.get_parameter_source(error.param.name) is not ParameterSource.ENVIRONMENT:
        return ""
    name = environment_variable(error.param, error.ctx)
    cause = ""
    if os.environ.get(name, "").startswith("tcp://"):
        cause = (
            ", a service link: container platforms set it for a service of this name (enableServiceLinks: false "
            "switches that off)"
        )
    return f" It comes from the environment variable {name}{cause}: unset it, or give the option."


def _print_versions(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        for name in ("taskstream", *_LIBRARIES):
            echo(f"{name} {importlib.metadata.version(name)}")
        echo(f"librdkafka {importlib.import_module('confluent_kafka').libversion()[0]}")
        echo(f"Python {platform.python_version()}, {platform.platform()}")
        context.exit()


def _take_settings_file(context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and not context.resilient_parsing:
        context.default_map = SettingsFile(path)
    return path


@click.group(
    cls=_CommandTable,
    context_settings={"help_option_names": list(HELP_NAMES), "auto_envvar_prefix": "TASKSTREAM", "show_default": True},
    epilog="Each option can also be set in an environment variable, or in the file of --config: --edge-port of `up` is "
    "TASKSTREAM_UP_EDGE_PORT, or edge-port in the table [up].",
)
@click.option(
    "--config",
    "settings_file",  # not `config`: click would look that up in the file, where it is the table of a command
    metavar="FILE",
    envvar="TASKSTREAM_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=_take_settings_file,
    help="A file of settings for all commands, in TOML; see docs/settings.md. Options and environment variables go "
    "before it.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=_print_versions,
    help="Show the version, and those of Python and the libraries that decide, and exit.",
)
def cli() -> None:
    """Server-migration progress as an event stream.

    To start, run `taskstream up`: it starts a local Kafka, the edge, a worker and the view, and prints curl commands.
    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """


_PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


def main() -> NoReturn:
    """Run the command line and exit."""
    open_streams()
    # Some libraries obey these and others do not. Brokers are reached directly, and so is everything else.
    for name in [each for each in os.environ if each.lower() in _PROXY_VARIABLES]:
        del os.environ[name]
    try:
        code = cli(prog_name="taskstream")
    except OutputUnwritable as error:  # raised outside of a command, as by --help
        echo(f"Error: {error}", err=True)
        code = 1
    sys.exit(code)
