"""The destination: makes it hold what the source holds, one entry at a time, and tells what it holds already.

A file is written beside its place under a hidden name and renamed when it is whole, so a name never shows half a
file. Such a part outlives an interruption; the next run compares it with the source byte by byte and goes on where
they part. Nothing that the source does not have is removed, but a file or link in a folder's way is.
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from taskstream.producer.agent.progress_meter import ProgressMeter
from taskstream.producer.agent.transfer import CopyStopped, Transfer
from taskstream.producer.agent.tree import Entry, EntryKind

# Clocks that file systems round down to: none, NTFS and SMB, some NFS, ext3 and tar.
_ROUNDED_TO_NS = (1, 100, 1_000, 1_000_000_000)
_PART = re.compile(r"\.taskstream-[0-9a-f]{16}\.part")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Replica:
    """One destination of one source; both are absolute paths of folders that exist."""

    def __init__(
        self, source: Path, destination: Path, transfer: Transfer, meter: ProgressMeter, *, fsync: bool
    ) -> None:
        self._source = source
        self._destination = destination
        self._transfer = transfer
        self._meter = meter
        self._fsync = fsync

    def holds(self, entry: Entry) -> bool:
        """Whether the destination has it: a folder, a link with the same target, a file of equal size and time."""
        try:
            there = self._there(entry).lstat()
            if entry.kind is EntryKind.DIRECTORY:
                return stat.S_ISDIR(there.st_mode)
            if entry.kind is EntryKind.LINK:
                return self._here(entry).readlink() == self._there(entry).readlink()
        except OSError:
            return False
        same_time = any(there.st_mtime_ns == entry.mtime_ns - entry.mtime_ns % unit for unit in _ROUNDED_TO_NS)
        return stat.S_ISREG(there.st_mode) and there.st_size == entry.size and same_time

    def make(self, entry: Entry) -> int:
        """Bring the entry as it is now; returns a file's bytes, 0 for the rest.

        Raises:
            Stopped: on request; the part that was written stays.
            OSError: it could not be brought; nothing of it was counted.
        """
        if entry.kind is EntryKind.DIRECTORY:
            self._make_folder(entry)
        elif entry.kind is EntryKind.LINK:
            self._make_link(entry)
        else:
            return self._make_file(entry)
        return 0

    def mend(self, entry: Entry) -> int:
        """Give what the destination holds already the source's mode and owner; returns a file's bytes.

        A folder is left as it is until `finish`.
        """
        if entry.kind is EntryKind.DIRECTORY:
            return 0
        there = self._there(entry).lstat()
        if (there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode)) == (entry.uid, entry.gid, entry.mode):
            return entry.size
        if entry.kind is EntryKind.LINK:
            _give_owner(self._there(entry), entry)
        else:
            _give_mode(self._there(entry), entry)
        return entry.size

    def finish(self, entry: Entry) -> int:
        """Give a folder its owner, mode and times, when nothing more will be written in it.

        Parts that an earlier run has left, whose file has gone from the source since, are removed.
        """
        path = self._there(entry)
        for left in path.iterdir():
            if _PART.fullmatch(left.name) and not os.path.lexists(self._here(entry) / left.name):
                left.unlink()
        with _opened(path, _READ | os.O_DIRECTORY) as folder:
            _give_mode(folder, entry)
            os.utime(folder, ns=(entry.mtime_ns, entry.mtime_ns))
        return 0

    def _make_folder(self, entry: Entry) -> None:
        """Make the folder, writable for us; its own mode and times come with `finish`."""
        path = self._there(entry)
        try:
            path.mkdir(0o700)
        except FileExistsError:
            there = path.lstat()
            if not stat.S_ISDIR(there.st_mode):
                path.unlink()
                path.mkdir(0o700)
            elif there.st_mode & 0o700 != 0o700:
                path.chmod(stat.S_IMODE(there.st_mode) | 0o700)

    def _make_link(self, entry: Entry) -> None:
        """Make the symbolic link, with the target that the source's has now."""
        path, part = self._there(entry), self._part(entry)
        part.unlink(missing_ok=True)
        part.symlink_to(self._here(entry).readlink())
        try:
            _give_owner(part, entry)
            os.utime(part, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
            part.replace(path)
        except OSError:
            part.unlink()
            raise

    def _make_file(self, entry: Entry) -> int:
        """Copy the file as it is now, with mode and times (and owner, where we may); returns its bytes.

        A file that changes while it is read gets the time from before, so that a later pass sees a difference.
        """
        part = self._part(entry)
        with _opened(self._here(entry), _READ) as source:
            before = os.fstat(source)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(errno.EINVAL, "no longer a regular file")
            now = Entry.of(entry.path, before)
            mark = self._meter.mark()
            self._meter.expect(0, now.size - entry.size)
            try:
                with _opened(part, _WRITE) as target:
                    count = self._transfer.copy(source, target, now.size)
                    self._meter.expect(0, count - now.size)
                    _give_mode(target, now)
                    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
                    if self._fsync:
                        os.fsync(target)
                part.replace(self._there(entry))
            except CopyStopped:
                raise
            except OSError:
                self._meter.back_to(mark)
                with suppress(OSError):
                    part.unlink()
                raise
        return count

    def _here(self, entry: Entry) -> Path:
        return self._source / entry.path

    def _there(self, entry: Entry) -> Path:
        return self._destination / entry.path

    def _part(self, entry: Entry) -> Path:
        path = self._there(entry)
        digest = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
        return path.with_name(f".taskstream-{digest}.part")


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _give_mode(target: int | Path, entry: Entry) -> None:
    mode = entry.mode
    if not _give_owner(target, entry):
        mode &= ~(stat.S_ISUID | stat.S_ISGID)  # these would lend our rights instead of the owner's
    if isinstance(target, int):
        os.fchmod(target, mode)
    else:
        target.chmod(mode)


def _give_owner(target: int | Path, entry: Entry) -> bool:
    """Whether the owner and group are now the source's."""
    there = os.fstat(target) if isinstance(target, int) else target.lstat()
    if (there.st_uid, there.st_gid) == (entry.uid, entry.gid):
        return True
    try:
        if isinstance(target, int):
            os.fchown(target, entry.uid, entry.gid)
        else:
            os.lchown(target, entry.uid, entry.gid)
    except OSError as error:
        if error.errno in {errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}:
            return False
        raise
    return True
