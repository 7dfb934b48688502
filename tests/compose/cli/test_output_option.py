"""`-o json` is the same option on every command that prints a result."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from taskstream.compose.cli import cli

RUN_UNTIL_THEY_ARE_STOPPED = {"demo", "edge", "lake", "notify", "up", "view", "worker"}
PRINT_A_DOCUMENT = {"completion", "export", "schemas asyncapi", "schemas show"}
"""Of a format of its own: a shell's script, the records of a topic, JSON always."""


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, (*path, name))
    else:
        yield " ".join(path), command


ALL = dict(commands(cli))


@pytest.mark.parametrize("name", sorted(ALL.keys() - RUN_UNTIL_THEY_ARE_STOPPED - PRINT_A_DOCUMENT))
def test_a_command_that_prints_a_result_can_print_it_as_json(name):
    (option,) = (each for each in ALL[name].params if "-o" in each.opts)
    assert option.opts == ["-o", "--output"]
    assert isinstance(option.type, click.Choice)
    assert {"json", "ndjson", "jsonl"} & set(option.type.choices)


def test_the_exceptions_are_commands():
    assert ALL.keys() > RUN_UNTIL_THEY_ARE_STOPPED | PRINT_A_DOCUMENT
