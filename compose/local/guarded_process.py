"""A child process that does not outlive its parent, however the parent ends. It knows no Kafka and no stack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

GUARD = Path(__file__).with_name("process_guard.py")
ORPHAN_GRACE_S = 5.0
OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024
TAIL_BYTES = 128 * 1024


class GuardedProcess:
    """A command in its own session, so that the terminal's Ctrl-C does not reach it; its output is appended to a file.

    `pid` is the process id of the command itself. When this process ends, even by SIGKILL, the command's process group
    gets SIGTERM, and SIGKILL `orphan_grace_s` later; a child that this process forked without an exec delays that.
    `lock` is a file that the command holds an exclusive lock on while it runs.
    """

    def __init__(
        self,
        command: Sequence[str],
        output: Path,
        *,
        lock: Path | None = None,
        environment: Mapping[str, str] | None = None,
        orphan_grace_s: float = ORPHAN_GRACE_S,
    ) -> None:
        self.command = tuple(command)
        self.output = output
        self._lock = lock
        self._environment = environment
        self._orphan_grace_s = orphan_grace_s
        self._popen: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._output_begin = 0

    def start(self) -> None:
        """Start the command. An output file larger than OUTPUT_LIMIT_BYTES is first renamed to `*.old`."""
        assert self._popen is None, "a guarded process is started once"
        if self.output.exists() and self.output.stat().st_size > OUTPUT_LIMIT_BYTES:
            self.output.replace(self.output.with_name(self.output.name + ".old"))
        watched, self._lifeline = os.pipe()
        try:
            with self.output.open("ab") as output:
                self._output_begin = output.tell()
                self._popen = subprocess.Popen(
                    [
                        *(sys.executable, "-I", "-S", str(GUARD)),
                        *("run", str(watched), str(self._orphan_grace_s), str(self._lock or "-"), *self.command),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    pass_fds=(watched,),
                    start_new_session=True,
                )
        except OSError:
            os.close(self._lifeline)
            raise
        finally:
            os.close(watched)

    @property
    def pid(self) -> int:
        """The command's process id."""
        assert self._popen is not None, "not started"
        return self._popen.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while the command runs."""
        assert self._popen is not None, "not started"
        code = self._popen.poll()
        if code is not None:
            self._close_lifeline()
        return code

    def wait(self, timeout_s: float) -> int | None:
        """The exit code; None if the command still runs after `timeout_s`."""
        assert self._popen is not None, "not started"
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return self.poll()

    def signal(self, signum: signal.Signals) -> None:
        """Send the command a signal; does nothing if it has ended."""
        assert self._popen is not None, "not started"
        self._popen.send_signal(signum)

    def stop(self, deadline_s: float) -> int:
        """Send SIGTERM, and SIGKILL if the command still runs after `deadline_s`; return the exit code."""
        self.signal(signal.SIGTERM)
        code = self.wait(deadline_s)
        return self.kill() if code is None else code

    def kill(self) -> int:
        """Send SIGKILL; the watcher then ends the rest of the process group. Return the exit code."""
        assert self._popen is not None, "not started"
        self._popen.kill()
        self._popen.wait()
        code = self.poll()
        assert code is not None
        return code

    def last_lines(self, count: int = 20) -> str:
        """The last lines of the output since `start`."""
        try:
            with self.output.open("rb") as output:
                output.seek(max(self._output_begin, output.seek(0, os.SEEK_END) - TAIL_BYTES))
                lines = output.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-count:])

    def _close_lifeline(self) -> None:
        """Close the pipe; the watcher then ends the rest of the process group, and itself."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
