"""`taskstream tokens`: the file that says who may speak to the edge and the view."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from taskstream.producer.callers.token_file import project_id, token_line
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Role


@click.group()
def tokens() -> None:
    """The file that says who may speak to the edge and the view."""


@tokens.command()
@click.option("--file", "path", type=click.Path(path_type=Path, dir_okay=False), default=Path("tokens.jsonl"))
@click.option("--project", required=True, help="The project that the token acts for.")
@click.option("--role", "roles", type=click.Choice([str(role) for role in Role]), multiple=True, default=["report"])
def add(*, path: Path, project: str, roles: tuple[str, ...]) -> None:
    """Make a token, add its hash to the file and print the token: it is shown this once.

    A running edge takes it within a second.
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
    click.echo(token)
