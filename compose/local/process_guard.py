"""What a guarded process starts as: `process_guard.py run FD GRACE_S LOCK COMMAND...`.

It uses the standard library only.

It leaves a watcher behind and then becomes the command. The watcher holds the reading end of a pipe whose other end
only the starter has; when that end closes, however the starter died, the watcher ends the command's process group.
Being a member of the group itself, it keeps the group's number from being given to somebody else.
LOCK is a file that the command holds a lock on for as long as it lives, or - for none.
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
    """Leave a watcher behind, then become `command`; returns only if it cannot be started."""
    if os.fork() == 0:
        if os.fork() == 0:
            _become_watcher(fd, grace_s)
        os._exit(0)
    os.wait()  # the watcher now belongs to init: the command must not find a child that it never had
    os.set_inheritable(fd, False)  # noqa: FBT003 -- the argument is positional only
    if lock != "-":
        _hold(lock)
    for signum in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signum, signal.SIG_DFL)  # Python ignores them, and that would pass to the command
    try:
        os.execvp(command[0], command)  # noqa: S606 -- becoming the command is what this program is for
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


def watch(fd: int, grace_s: float) -> None:
    """Wait until the starter's end closes, then end the group: politely, and `grace_s` later by force."""
    while os.read(fd, 1):
        pass
    group = os.getpgrp()
    os.killpg(group, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while _leader_lives(group) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    os.killpg(group, signal.SIGKILL)


def _hold(lock: str) -> None:
    """Take the lock with a descriptor that stays open in the command: the system frees it when the command ends."""
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(f"{lock} is held by another process")
            time.sleep(POLL_S)
        else:
            break
    os.set_inheritable(held, True)  # noqa: FBT003 -- the argument is positional only


def _become_watcher(fd: int, grace_s: str) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # a reader of the command's output must see its end
        os.dup2(nowhere, stream)
    os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, "watch", str(fd), grace_s])  # noqa: S606 -- see above


def _leader_lives(group: int) -> bool:
    try:
        os.kill(group, 0)
    except ProcessLookupError:
        return False
    return not _is_zombie(group)


def _is_zombie(pid: int) -> bool:
    """A leader whose starter is dead and whom nobody reaps is dead all the same (told by Linux's /proc only)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 -- pathlib would double this program's start time
            return stat.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return False


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
    else:
        watch(int(sys.argv[2]), float(sys.argv[3]))
