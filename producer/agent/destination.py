"""Checks that a source can be copied to a destination, and locks the destination against other agents."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskstream.producer.agent.tree import printable
from taskstream.producer.errors import CopyJobError, DestinationUnusable
from taskstream.schemas.errors import cause_of


@contextmanager
def locked_destination(source: Path, destination: Path) -> Iterator[tuple[Path, Path]]:
    """Both folders as absolute paths without links. Creates the destination and locks it until the context ends.

    Raises:
        CopyJobError: the source is not a readable folder, or one folder would overwrite the other;
            DestinationUnusable if the destination cannot be created or another agent holds its lock.
    """
    here, there = _resolved(source), _resolved(destination)
    _check(here, there)
    try:
        there.mkdir(parents=True, exist_ok=True)
        folder = os.open(there, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DestinationUnusable(f"the destination {printable(there)} cannot be used: {error.strerror}") from error
    try:
        _lock(folder, there)
        yield here, there
    finally:
        os.close(folder)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # pathlib raises RuntimeError for a cycle of links
        raise CopyJobError(
            f"{printable(path)} cannot be resolved ({cause_of(error)}): give a folder that exists"
        ) from error


def _check(here: Path, there: Path) -> None:
    if not here.is_dir():
        raise CopyJobError(f"the source {printable(here)} is not a folder: give one that exists")
    if not os.access(here, os.R_OK | os.X_OK):
        raise CopyJobError(f"the source {printable(here)} cannot be read: run the agent as a user with the permission")
    if any(_same_folder(parent, here) for parent in (there, *there.parents)):
        raise CopyJobError(
            f"the destination {printable(there)} lies in the source {printable(here)}: "
            "the copy would copy itself; give a folder outside the source"
        )
    if here.is_relative_to(there):
        name = here.relative_to(there).parts[0]
        if os.path.lexists(here / name):
            raise CopyJobError(
                f"the source lies in the destination under {printable(name)}, and contains an entry of that name: "
                "the copy would overwrite what it copies; give another destination"
            )


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _lock(folder: int, there: Path) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DestinationUnusable(f"another agent is copying to {printable(there)}: wait for it, or stop it") from error
    except OSError as error:
        # Some network file systems have no locks; there nothing keeps a second agent away.
        if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS}:
            raise DestinationUnusable(
                f"the destination {printable(there)} cannot be locked: {error.strerror}"
            ) from error
