"""Where a copy may go: which pairs of folders will do, and that one agent at a time writes to a destination."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskstream.producer.agent.tree import readable
from taskstream.producer.errors import DestinationUnusable, SourceUnusable


@contextmanager
def claimed(source: Path, destination: Path) -> Iterator[tuple[Path, Path]]:
    """Both folders as absolute paths without links; the destination is made if need be, and ours until the end.

    Raises:
        CopyRefused: they will not do; DestinationUnusable when another agent holds the destination.
    """
    here, there = _resolved(source), _resolved(destination)
    _check(here, there)
    try:
        there.mkdir(parents=True, exist_ok=True)
        folder = os.open(there, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DestinationUnusable(f"the destination {readable(there)} cannot be used: {error.strerror}") from error
    try:
        _lock(folder, there)
        yield here, there
    finally:
        os.close(folder)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError is pathlib's word for links that lead in a circle
        raise SourceUnusable(f"{readable(path)} leads nowhere: {error}") from error


def _check(here: Path, there: Path) -> None:
    if not here.is_dir():
        raise SourceUnusable(f"the source {readable(here)} is not a folder: give one that exists")
    if not os.access(here, os.R_OK | os.X_OK):
        raise SourceUnusable(f"the source {readable(here)} cannot be read: run the agent as a user who may")
    if any(_same_folder(parent, here) for parent in (there, *there.parents)):
        raise SourceUnusable(
            f"the destination {readable(there)} lies in the source {readable(here)}: "
            "the copy would copy itself; give a folder outside of it"
        )
    if here.is_relative_to(there):
        way_back = here.relative_to(there).parts[0]
        if os.path.lexists(here / way_back):
            raise SourceUnusable(
                f"the source holds {readable(way_back)}, and the destination keeps the source itself under that "
                "name: the copy would overwrite what it copies; give another destination"
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
        raise DestinationUnusable(f"another agent is copying to {readable(there)}: wait for it, or stop it") from error
    except OSError as error:
        # Some network file systems have no locks; there the user must take care.
        if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS}:
            raise DestinationUnusable(
                f"the destination {readable(there)} cannot be locked: {error.strerror}"
            ) from error
