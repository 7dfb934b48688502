"""`taskstream config`: the settings of all commands as they are in force here, and where each value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from taskstream.compose.cli.commands import COMMANDS, load
from taskstream.compose.cli.options.settings_file import SettingsFile, environment_variable, options_of
from taskstream.compose.cli.output.formats import output_option, print_json, print_rows

_SECRET = re.compile(r"password|secret|token|jaas|\.pem|oauthbearer", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^/\s]*@")
_MASK = "***"


@dataclass(frozen=True)
class EffectiveSetting:
    """One option of one command. `value` is as it would be typed, None: not set."""

    command: str
    option: str
    value: str | None
    source: str


@click.group()
def config() -> None:
    """Settings: show."""


@config.command()
@click.argument("command", required=False, metavar="[COMMAND]", type=click.Choice(list(COMMANDS)))
@click.option("--changed", is_flag=True, help="Only values that are not the default.")
@output_option
@click.pass_context
def show(context: click.Context, *, command: str | None, changed: bool, output: str) -> None:
    """Print the value of every option of all commands, or of one, and where it comes from.

    An option that is given goes before its environment variable, that before the file of --config, and that before the
    default. The file is checked as a whole. Passwords and tokens are masked.
    """
    root = context.find_root()
    rows = [
        asdict(setting)
        for name in ([command] if command else COMMANDS)
        for setting in _settings(root, load(name), (name,))
        if setting.source != "default" or not changed
    ]
    if output == "json":
        print_json(rows)
    else:
        print_rows(rows, output)


def _settings(parent: click.Context, command: click.Command, names: tuple[str, ...]) -> Iterator[EffectiveSetting]:
    context = click.Context(command, parent, info_name=names[-1])
    keys = {option.name: key for key, option in options_of(command)}
    for option in command.params:
        if isinstance(option, click.Option) and option.expose_value:
            key = keys.get(option.name, option.opts[0])
            value, source = option.consume_value(context, {})
            yield EffectiveSetting(" ".join(names), key, _shown(key, value), _source(context, option, names, source))
    for name, each in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _settings(context, each, (*names, name))


def _source(context: click.Context, option: click.Option, names: tuple[str, ...], source: ParameterSource) -> str:
    file = context.find_root().default_map
    if source is ParameterSource.ENVIRONMENT:
        return environment_variable(option, context)
    if source is ParameterSource.DEFAULT_MAP and isinstance(file, SettingsFile):
        return f"{file.path}: {file.settings(names, context.command)[str(option.name)].key}"
    return "default"


def _shown(key: str, value: object) -> str | None:
    """The value without what is secret in it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    parts = value if isinstance(value, list | tuple) else [value]
    texts = [_masked(str(each)) for each in parts if isinstance(each, str | int | float | Path)]
    if not texts:
        return None
    return _MASK if key == "token" else " ".join(texts)


def _masked(text: str) -> str:
    """Without the password of a URL, and without the value of a librdkafka setting that is a secret."""
    name, equals, _ = text.partition("=")
    if equals and _SECRET.search(name):
        return f"{name}={_MASK}"
    return _URL_PASSWORD.sub(rf"\1:{_MASK}@", text)
