"""Ends what is left of a test run when its first process has ended: `watcher.py RUN_ID FOLDER`.

It uses the standard library only. Every process of a run has the run's id in its environment; it is inherited. The
watcher is in a session of its own, so that it survives a signal to the run's process group. It prints one line about
each process that it ends. It unmounts what is mounted below FOLDER. It removes FOLDER unless that holds the file `kept`;
of those that are kept, the newest three remain. Only Linux shows the environment of processes: elsewhere processes are
not found, only folders are removed.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

RUN_VARIABLE = "TASKSTREAM_TEST_RUN"
"""The ids of the run and of the runs that it is part of, outermost first, with colons between them."""
KEPT = "kept"
KEPT_AT_MOST = 3
POLL_S = 0.1
GRACE_S = 10.0
"""From SIGTERM to SIGKILL."""


class Process(NamedTuple):
    """A process that runs; one that ended and was not collected yet does not."""

    pid: int
    parent: int
    command: str


def part_of_this_run(run_id: str) -> str:
    """The value of RUN_VARIABLE for a run that this process begins."""
    return ":".join(filter(None, [os.environ.get(RUN_VARIABLE), run_id]))


def processes(run_id: str) -> list[Process]:
    """Those of this run, without the process that asks."""
    return [each for each in _all() if each.pid != os.getpid() and run_id in _runs(each.pid)]


def watch(run_id: str, folder: Path) -> None:
    """Wait for the end of the run's first process, then end its other processes and remove its folder."""
    _await_end()
    _end_all(run_id)
    _unmount(folder)
    if (folder / KEPT).exists():
        prefix = folder.name.rpartition("-")[0]
        kept = sorted(folder.parent.glob(f"{prefix}-*/{KEPT}"), key=_modified_at)
        for old in kept[:-KEPT_AT_MOST]:
            shutil.rmtree(old.parent, ignore_errors=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _unmount(folder: Path) -> None:
    """Unmount what a test has mounted below the folder: no folder with a mount can be removed."""
    for point in mount_points(folder):
        subprocess.run(("umount", "--lazy", point), capture_output=True, check=False)


def mount_points(folder: Path) -> list[str]:
    """Where file systems are mounted below the folder, the innermost first."""
    try:
        mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return []
    return sorted((point for point in mounted if point.startswith(f"{folder}/")), reverse=True)


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another run's watcher has just removed it
        return 0.0


def _await_end() -> None:
    """Return when the standard input is closed, or its holder is dead while a fork of it still has it open."""
    parent = os.getppid()
    while os.getppid() == parent and not select.select([0], [], [], POLL_S)[0]:
        pass


def _end_all(run_id: str) -> None:
    told: set[int] = set()
    deadline = time.monotonic() + GRACE_S
    while left := processes(run_id):
        for process in left:
            late = time.monotonic() > deadline
            if late or process.pid not in told:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL if late else signal.SIGTERM)
            if process.pid not in told:
                told.add(process.pid)
                with suppress(OSError):  # its reader may be dead
                    print(f"{process.pid} {process.command[:200]}", flush=True)
        time.sleep(POLL_S)


def _all() -> Iterator[Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if state != b"Z":
            yield Process(int(folder.name), int(parent), command)


def _runs(pid: int) -> list[str]:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
    prefix = f"{RUN_VARIABLE}=".encode()
    return next((each.removeprefix(prefix).decode().split(":") for each in environment if each.startswith(prefix)), [])


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(sys.argv[1], Path(sys.argv[2]))
