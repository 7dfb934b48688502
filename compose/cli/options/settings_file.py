"""The settings file of all commands: TOML in, click's defaults out. An option and the environment go before it.

Pydantic reads what people write; click's own types convert and check the values, as they do on the command line.
"""

from __future__ import annotations

import difflib
import tomllib
from collections import UserDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import click
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, create_model

from taskstream.compose.cli.commands import COMMANDS, load
from taskstream.compose.errors import SettingsFileInvalid

SHARED = (
    *("bootstrap-servers", "bucket", "cache-dir", "kafka-config", "log-format", "min-insync-replicas", "partitions"),
    *("prefix", "replication-factor", "retention-days", "schema-registry", "tasks-per-project"),
)
"""The options that mean the same in every command that has them: keys at the top of the file.

Each of them has one environment variable for all commands; every other key is in the table of its command.
"""
_Options = dict[str, list[tuple[click.Option, click.Command]]]
"""By the key: the options of one command, or of all commands of a group, and the command of each."""


@dataclass(frozen=True)
class FileSetting:
    """A value of the file: its key with that of its tables, such as `topics.create.partitions`."""

    key: str
    value: str | bool | list[str]


class SettingsFile(UserDict[str, Any]):
    """The file as click's `default_map`: by command the defaults of its options.

    The file is read when the first command is looked up, and a command's tables are checked when that command is: the
    command line's own help needs no file, and `taskstream topics` does not import the worker.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(dict.fromkeys(COMMANDS))
        self.path = path
        self._document: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            command = load(name)
            self._check(name, command)
            self.data[name] = self._defaults((name,), command)
        return self.data[name]

    def settings(self, names: Sequence[str], command: click.Command) -> dict[str, FileSetting]:
        """What the file has for the command of these names, by the parameter's name in click.

        A table of a command goes before that of its group, and that before the keys at the top.
        """
        levels = [({key: each for key, each in self._document.items() if key in SHARED}, "")]
        table = self._document
        for at, name in enumerate(names, 1):
            table = table.get(name, {})
            levels.append((table, ".".join(names[:at]) + "."))
        return {
            str(option.name): FileSetting(prefix + key, _as_typed(level[key]))
            for level, prefix in levels
            for key, option in options_of(command)
            if key in level
        }

    def _defaults(self, names: Sequence[str], command: click.Command) -> dict[str, Any]:
        """Click's `default_map` of a command and of those below it."""
        return {name: each.value for name, each in self.settings(names, command).items()} | {
            name: self._defaults((*names, name), each) for name, each in _below(command).items()
        }

    def _read(self) -> None:
        try:
            document = tomllib.loads(self.path.read_text("utf-8"))
        except OSError as error:
            raise SettingsFileInvalid(f"{self.path} cannot be read ({error.strerror}): name a TOML file") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsFileInvalid(f"{self.path} is not TOML: {error}") from error
        scalar = (str | int | float, None)
        fields: dict[str, Any] = dict.fromkeys(SHARED, scalar) | dict.fromkeys(COMMANDS, (dict[str, Any], None))
        self._validate(fields, document, "")
        self._document = document

    def _check(self, name: str, command: click.Command) -> None:
        """Check the tables of a command of the first level, and the shared keys that it takes."""
        if not self._document:
            self._read()
        options = _all_options(command)
        shared = {key: each for key, each in self._document.items() if key in SHARED and key in options}
        self._validate(_fields(options), shared, "")
        self._check_table(self._document.get(name, {}), command, f"{name}.")

    def _check_table(self, table: Mapping[str, Any], command: click.Command, prefix: str) -> None:
        below = _below(command)
        fields = _fields(_all_options(command)) | dict.fromkeys(below, (dict[str, Any], None))
        self._validate(fields, table, prefix)
        for name, each in below.items():
            self._check_table(table.get(name, {}), each, f"{prefix}{name}.")

    def _validate(self, fields: Mapping[str, Any], table: Mapping[str, Any], prefix: str) -> None:
        """Pydantic's check of one table; keys are no names of Python, so that each is the alias of a numbered field."""
        numbered: dict[str, Any] = {
            f"key_{at}": (kind, Field(default, alias=key)) for at, (key, (kind, default)) in enumerate(fields.items())
        }
        config = ConfigDict(extra="forbid", strict=True)
        try:
            create_model("SettingsTable", __config__=config, **numbered).model_validate(table)
        except ValidationError as error:
            sentences = [_sentence(each, fields, prefix) for each in error.errors(include_url=False)]
            raise SettingsFileInvalid(f"{self.path}: {'; '.join(sentences)}") from error


def options_of(command: click.Command) -> list[tuple[str, click.Option]]:
    """The options that a settings file can set, by their key: the long name without its dashes."""
    return [
        (long[0].removeprefix("--"), each)
        for each in command.params
        if isinstance(each, click.Option) and each.expose_value
        if (long := [name for name in each.opts if name.startswith("--")])
    ]


def settings_path() -> Path | None:
    """The file of the command that runs, for the processes that it starts."""
    file = click.get_current_context().find_root().default_map
    return file.path if isinstance(file, SettingsFile) else None


def environment_variable(option: click.Parameter, context: click.Context) -> str:
    """The variable that click reads the option from."""
    named = option.envvar or f"{context.auto_envvar_prefix}_{str(option.name).upper()}"
    return named if isinstance(named, str) else named[0]


def _below(command: click.Command) -> Mapping[str, click.Command]:
    return command.commands if isinstance(command, click.Group) else {}


def _all_options(command: click.Command) -> _Options:
    """With those of the commands below it: a table of a group holds for each of its commands that has the option."""
    found: _Options = {}
    for key, option in options_of(command):
        found.setdefault(key, []).append((option, command))
    for each in _below(command).values():
        for key, options in _all_options(each).items():
            found.setdefault(key, []).extend(options)
    return found


def _fields(options: _Options) -> dict[str, Any]:
    return {key: (Annotated[Any, BeforeValidator(partial(_converted, each))], None) for key, each in options.items()}


def _converted(options: Sequence[tuple[click.Option, click.Command]], value: object) -> object:
    """The value as it is, once each option's own type has accepted it."""
    for option, command in options:
        if problem := _problem(option, value):
            raise ValueError(problem)
        try:
            option.process_value(click.Context(command), _as_typed(value))
        except click.BadParameter as error:
            raise ValueError(error.message.rstrip(".")) from error
    return value


def _problem(option: click.Option, value: object) -> str:
    """What is wrong with the kind of value, before click converts it."""
    if option.is_flag:
        return "" if isinstance(value, bool) else "write true or false, without quotes"
    if option.multiple:
        is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return "" if is_list else 'write a list of texts, as in ["a", "b"]'
    is_scalar = isinstance(value, str | int | float) and not isinstance(value, bool)
    return "" if is_scalar else "write one value: a text in quotes, or a number"


def _as_typed(value: Any) -> Any:
    """The value as on a command line: from text, click refuses 1.5 as an integer, and from a number it does not."""
    return value if isinstance(value, bool | list) else str(value)


def _sentence(error: Mapping[str, Any], fields: Mapping[str, object], prefix: str) -> str:
    """One error of pydantic: the key, the value and what to write."""
    name = str(error["loc"][0])
    match error["type"]:
        case "extra_forbidden":
            close = difflib.get_close_matches(name, fields, 1)
            hint = f"did you mean {close[0]}? " if close else ""
            return f"{prefix}{name} is not a setting: {hint}{_where(prefix)}"
        case "value_error":
            return f"{prefix}{name}: {error['ctx']['error']}"
        case "dict_type":
            return f"{prefix}{name}: it is a table: write [{prefix}{name}] and its keys below"
    return f"{prefix}{name}: write one value: a text in quotes, or a number"


def _where(prefix: str) -> str:
    """Where to look for the right key."""
    if not prefix:
        return "a setting of one command stands in its table, such as [edge]"
    return f"`taskstream {prefix.rstrip('.').replace('.', ' ')} --help` lists the options"
