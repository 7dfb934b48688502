"""A disk for one broker's data, which can be full: a file system of its own where this process may mount one.

Elsewhere the broker's process may write no more to any file. Kafka takes both as the loss of its log directory.
"""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

SIZE_BYTES = 2 << 30
"""Of which memory is used for what is written."""
STEP_BYTES = 1 << 20
ATTEMPTS = 20


class SmallDisk:
    """`with SmallDisk(folder) as disk:` mounts a file system on the folder, if that is allowed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_mounted = False

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        if os.geteuid() == 0:
            self.is_mounted = _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(self.folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_mounted:
            _run("umount", "--lazy", str(self.folder))

    def fill(self, writer_pid: int) -> None:
        """Leave no room. Without a file system of its own, only this process is refused."""
        if not self.is_mounted:
            _soft, hard = resource.prlimit(writer_pid, resource.RLIMIT_FSIZE)
            resource.prlimit(writer_pid, resource.RLIMIT_FSIZE, (0, hard))
            return
        for attempt in range(ATTEMPTS):  # what is written meanwhile makes a size too small
            found = os.statvfs(self.folder)
            used_bytes = (found.f_blocks - found.f_bfree) * found.f_frsize
            if self._resize(used_bytes + attempt * STEP_BYTES):
                return
        raise AssertionError(f"{self.folder} cannot be filled")

    def empty(self) -> None:
        """Make room again, for a new process."""
        if self.is_mounted:
            assert self._resize(SIZE_BYTES), f"{self.folder} cannot grow"

    def _resize(self, size_bytes: int) -> bool:
        return _run("mount", "-o", f"remount,size={size_bytes}", str(self.folder))


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
