"""The destination tree: copies one entry at a time, and compares an entry with what is there. It reports nothing.

A file is written to a hidden part file in the same folder and renamed when it is complete, so no file is ever partial
under its own name. A part file survives an interruption; the next run compares it with the source and resumes at the
first chunk that differs. Entries that the source does not have are never removed, except a file or link where the
source has a folder.
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

# The units that file systems round times down to: none, NTFS and SMB, some NFS, ext3 and tar.
_ROUNDED_TO_NS = (1, 100, 1_000, 1_000_000_000)
_PART = re.compile(r"\.taskstream-[0-9a-f]{16}\.part")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Replica:
    """The copy of `source` at `destination`; both are absolute paths of existing folders."""

    def __init__(
        self, source: Path, destination: Path, transfer: Transfer, meter: ProgressMeter, *, fsync: bool
    ) -> None:
        self._source = source
        self._destination = destination
        self._transfer = transfer
        self._meter = meter
        self._fsync = fsync

    def is_current(self, entry: Entry) -> bool:
        """Whether the destination has the entry: a folder, a link to the same target, a file of equal size and time."""
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

    def copy_entry(self, entry: Entry) -> int:
        """Copy the entry in its current state; return a file's size in bytes, 0 for other kinds.

        Raises:
            CopyStopped: the copy was stopped; the part file stays.
            OSError: the entry could not be copied; the meter's byte counts are as before.
        """
        if entry.kind is EntryKind.DIRECTORY:
            self._copy_folder(entry)
        elif entry.kind is EntryKind.LINK:
            self._copy_link(entry)
        else:
            return self._copy_file(entry)
        return 0

    def update_metadata(self, entry: Entry) -> int:
        """Set mode and owner of an entry that is current; return a file's size in bytes, 0 for other kinds.

        A folder is left as it is until `finish_directory`.
        """
        if entry.kind is EntryKind.DIRECTORY:
            return 0
        there = self._there(entry).lstat()
        if (there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode)) == (entry.uid, entry.gid, entry.mode):
            return entry.size
        if entry.kind is EntryKind.LINK:
            _set_owner(self._there(entry), entry)
        else:
            _set_mode(self._there(entry), entry)
        return entry.size

    def finish_directory(self, entry: Entry) -> int:
        """Set a folder's owner, mode and times after everything in it is written; return 0.

        Also removes part files that an earlier run left and whose source file no longer exists.
        """
        path = self._there(entry)
        for left in path.iterdir():
            if _PART.fullmatch(left.name) and not os.path.lexists(self._here(entry) / left.name):
                left.unlink()
        with _opened(path, _READ | os.O_DIRECTORY) as folder:
            _set_mode(folder, entry)
            os.utime(folder, ns=(entry.mtime_ns, entry.mtime_ns))
        return 0

    def _copy_folder(self, entry: Entry) -> None:
        """Create the folder, writable by its owner; `finish_directory` sets its mode and times."""
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

    def _copy_link(self, entry: Entry) -> None:
        """Create the symbolic link with the current target of the source's link."""
        path, part = self._there(entry), self._part(entry)
        part.unlink(missing_ok=True)
        part.symlink_to(self._here(entry).readlink())
        try:
            _set_owner(part, entry)
            os.utime(part, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
            part.replace(path)
        except OSError:
            part.unlink()
            raise

    def _copy_file(self, entry: Entry) -> int:
        """Copy a file's content, mode, times and, if permitted, owner; return its size in bytes.

        A file that changes during the copy gets the time from before, so that the next pass copies it again.
        """
        part = self._part(entry)
        with _opened(self._here(entry), _READ) as source:
            before = os.fstat(source)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(errno.EINVAL, "no longer a regular file")
            now = Entry.of(entry.path, before)
            savepoint = self._meter.savepoint()
            self._meter.add_expected(0, now.size - entry.size)
            try:
                with _opened(part, _WRITE) as target:
                    count = self._transfer.copy(source, target, now.size)
                    self._meter.add_expected(0, count - now.size)
                    _set_mode(target, now)
                    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
                    if self._fsync:
                        os.fsync(target)
                part.replace(self._there(entry))
            except CopyStopped:
                raise
            except OSError:
                self._meter.roll_back(savepoint)
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


def _set_mode(target: int | Path, entry: Entry) -> None:
    mode = entry.mode
    if not _set_owner(target, entry):
        mode &= ~(stat.S_ISUID | stat.S_ISGID)  # with another owner they would grant the wrong user's rights
    if isinstance(target, int):
        os.fchmod(target, mode)
    else:
        target.chmod(mode)


def _set_owner(target: int | Path, entry: Entry) -> bool:
    """Set owner and group; False if this user may not."""
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
