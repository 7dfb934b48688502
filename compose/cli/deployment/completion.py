"""`taskstream completion`: what a shell has to load to complete commands, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from taskstream.compose.cli.output.terminal import echo

PROGRAM = "taskstream"
VARIABLE = "_TASKSTREAM_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print the completion script of a shell.

    `eval "$(taskstream completion bash)"` in ~/.bashrc loads it, and likewise for zsh; for fish it is
    `taskstream completion fish | source` in ~/.config/fish/config.fish.
    """
    kind = get_completion_class(shell)
    assert kind is not None, shell
    echo(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source())
