"""`taskstream tokens`: the file of hashed tokens that the edge and the view accept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from taskstream.compose.cli.command_clock import command_clock
from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.compose.cli.output.formats import output_option, print_json, print_rows
from taskstream.compose.cli.output.terminal import echo
from taskstream.producer.callers.token_file import StoredToken, hashed, label, parse_tokens, project_id
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.errors import cause_of
from taskstream.schemas.http.caller import Caller, Role

_FILE = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("tokens.jsonl"),
    help="The file of hashed tokens.",
)
_REMEDY = "`taskstream tokens add` makes one, and --file names another"
_YEARS_S = 100 * 365 * 86_400.0


@click.group()
def tokens() -> None:
    """Tokens for callers of the edge and the view."""


@tokens.command()
@_FILE
@click.option("--project", required=True, help="The project of the token.")
@click.option(
    "--role",
    "roles",
    type=click.Choice([str(role) for role in Role]),
    multiple=True,
    default=["report"],
    help="A role of the token. May be repeated.",
)
@click.option("--label", "name", default="", help="Whose token it is; `list` shows it, and `revoke` takes it.")
@click.option("--expires", type=Seconds(1.0), help="The time after which it is not accepted.  [default: (never)]")
@output_option
def add(*, path: Path, project: str, roles: tuple[str, ...], name: str, expires: float | None, output: str) -> None:
    """Create a token, append its hash to the file, and print the token. It cannot be printed again.

    A running edge or view accepts it within a second.
    """
    if expires is not None and expires > _YEARS_S:
        raise click.UsageError(f"--expires {expires:g} s is more than 100 years: leave it out for a token that stays")
    try:
        caller = Caller(project_id(project, "--project"), frozenset(map(Role, roles)))
        label(name, "--label")
    except CredentialsUnusable as error:
        raise click.UsageError(str(error)) from error
    token = secrets.token_urlsafe(32)
    expires_at = None if expires is None else _now() + timedelta(seconds=expires)
    stored = StoredToken(hashed(token), caller, name, expires_at)
    with _alone(path):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(stored.line() + "\n")
        except OSError as error:
            raise _unwritable(path, error) from error
    if output == "json":
        print_json({"token": token, **_row(stored)})
    else:
        echo(token)


@tokens.command("list")
@_FILE
@output_option
def list_tokens(*, path: Path, output: str) -> None:
    """Print the tokens of the file: what names them, and when they expire. The tokens themselves are not in it."""
    print_rows([_row(each) for each in _read(path)[1]], output)


@tokens.command()
@_FILE
@click.argument("name", metavar="ID|LABEL")
@output_option
def revoke(*, path: Path, name: str, output: str) -> None:
    """Remove a token from the file, by its id or its label as `list` shows them.

    A running edge or view refuses it within a second.
    """
    with _alone(path):
        lines, found = _read(path)
        chosen = [each for each in found if name in (each.id, each.label)]
        if len(chosen) != 1:
            known = ", ".join(each.id for each in chosen or found) or "none"
            what = f"no token has the id or label {name!r}" if not chosen else f"{len(chosen)} tokens are {name!r}"
            raise click.UsageError(f"{what}; their ids: {known} (`taskstream tokens list --file {path}`)")
        kept = [line for line in lines if chosen[0].sha256 not in line]
        _replace(path, "".join(line + "\n" for line in kept))
    if output == "json":
        print_json(_row(chosen[0]))
    else:
        echo(f"revoked {chosen[0].id} of project {chosen[0].caller.project_id}", err=True)


def _row(token: StoredToken) -> dict[str, Any]:
    expires = token.expires_at
    return {
        "id": token.id,
        "label": token.label or None,
        "project": token.caller.project_id,
        "roles": " ".join(sorted(token.caller.roles)),
        "expires": None if expires is None else expires.astimezone(UTC).isoformat(timespec="seconds"),
        "expired": token.is_expired(_now().timestamp()),
    }


def _now() -> datetime:
    return datetime.fromtimestamp(command_clock().now_us() / 1e6, UTC)


def _read(path: Path) -> tuple[list[str], list[StoredToken]]:
    """The lines of the file, and its tokens."""
    try:
        lines = path.read_text("utf-8").splitlines()
        return lines, [*parse_tokens(lines, str(path)).values()]
    except CredentialsUnusable as error:
        raise click.ClickException(str(error)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} cannot be read ({cause_of(error)}): {_REMEDY}") from error


def _unwritable(path: Path, error: OSError) -> click.ClickException:
    return click.ClickException(
        f"{path} cannot be written ({cause_of(error)}): name a file in a folder that you may write to with --file"
    )


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """While this is open, no other command changes the file: a lock on its folder, as the file is replaced."""
    try:
        folder = os.open(path.absolute().parent, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(path: Path, text: str) -> None:
    """Put a new file with the same owner and mode in the place of the old one, whole or not at all."""
    try:
        old = path.stat()
        descriptor, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), old.st_mode & 0o7777)
                if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path.resolve())
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path, error) from error
