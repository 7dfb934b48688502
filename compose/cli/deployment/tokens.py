"""`taskstream tokens`: the file of hashed tokens that the edge and the view accept."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from taskstream.compose.cli.output.terminal import echo
from taskstream.producer.callers.token_file import project_id, token_line
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Role


@click.group()
def tokens() -> None:
    """Tokens for callers of the edge and the view."""


@tokens.command()
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("tokens.jsonl"),
    help="The file of hashed tokens.",
)
@click.option("--project", required=True, help="The project of the token.")
@click.option(
    "--role",
    "roles",
    type=click.Choice([str(role) for role in Role]),
    multiple=True,
    default=["report"],
    help="A role of the token. May be repeated.",
)
def add(*, path: Path, project: str, roles: tuple[str, ...]) -> None:
    """Create a token, append its hash to the file, and print the token. It cannot be printed again.

    A running edge or view accepts it within a second.
    """
    try:
        project_id(project, "--project")
    except CredentialsUnusable as error:
        raise click.UsageError(str(error)) from error
    token = secrets.token_urlsafe(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(token_line(token, project, [Role(name) for name in roles]) + "\n")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error}") from error
    echo(token)
