"""The program that GuardedProcess starts: `process_guard.py run FD GRACE_S LOCK COMMAND...`.

It uses the standard library only, so that it starts fast.

It forks a watcher and then executes the command in its own process. The watcher reads from a pipe whose writing end
only the starter holds. When that end closes, however the starter ended, the watcher ends the command's process group.
The watcher is a member of the group, so the system cannot assign the group's id to other processes.
LOCK is a file that the command holds an exclusive lock on while it runs, or - for none.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time

POLL_S = 0.02
LOCK_TIMEOUT_S = 10.0


def run(fd: int, grace_s: str, lock: str, command: list[str]) -> None:
    """Fork the watcher, then execute `command` in this process."""
    if os.fork() == 0:
        if os.fork() == 0:
            _become_watcher(fd, grace_s)
        os._exit(0)
    os.wait()  # the watcher is now init's child: the command must not inherit a child that it did not start
    os.set_inheritable(fd, False)  # noqa: FBT003 -- the argument is positional only
    if lock != "-":
        _acquire(lock)
    for signum in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signum, signal.SIG_DFL)  # Python ignores them, and the command would inherit that
    try:
        os.execvp(command[0], command)  # noqa: S606 -- executing the command is the purpose of this program
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


def watch(fd: int, grace_s: float) -> None:
    """Wait until the starter's end of the pipe closes, then send the group SIGTERM, and SIGKILL `grace_s` later."""
    while os.read(fd, 1):
        pass
    group = os.getpgrp()
    os.killpg(group, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while _leader_runs(group) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    os.killpg(group, signal.SIGKILL)


def _acquire(lock: str) -> None:
    """Lock the file with a descriptor that the command inherits: the system releases it when the command ends."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(f"{lock} is locked by another process")
            time.sleep(POLL_S)
        else:
            break
    os.set_inheritable(descriptor, True)  # noqa: FBT003 -- the argument is positional only


def _become_watcher(fd: int, grace_s: str) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    devnull = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # so that a reader of the command's output gets the end of file
        os.dup2(devnull, stream)
    os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, "watch", str(fd), grace_s])  # noqa: S606 -- see above


def _leader_runs(group: int) -> bool:
    try:
        os.kill(group, 0)
    except ProcessLookupError:
        return False
    return not _is_zombie(group)


def _is_zombie(pid: int) -> bool:
    """Whether the process has ended but was not reaped, because its parent died. Known only on Linux, from /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 -- importing pathlib doubles the start time
            return stat.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return False


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
    else:
        watch(int(sys.argv[2]), float(sys.argv[3]))
