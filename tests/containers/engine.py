"""A Docker engine of its own, started for one run and stopped by its process id. It knows no images and no services.

It needs root. The engine changes no firewall rules and no routes of the machine: its networks have no way out, and a build
uses the network of the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.waiting import wait_until

PROGRAMS = {"dockerd": "docker.io", "docker-init": "tini", "debootstrap": "debootstrap", "iptables": "iptables"}
"""What has to be installed, and Debian's package of each."""
DOCKER = "/usr/bin/docker"
"""Debian's: a client of another origin earlier on the path may lack what the build needs."""
_SETTINGS = {"iptables": False, "ip6tables": False, "ip-forward": False, "ip-masq": False, "bridge": "none"}


def missing() -> str:
    """What has to be there and is not, as one sentence; an empty string if nothing is missing."""
    lacking = sorted(package for program, package in PROGRAMS.items() if shutil.which(program) is None)
    if not any(shutil.which(each) for each in ("docker-compose", "/usr/libexec/docker/cli-plugins/docker-compose")):
        lacking.append("docker-compose")
    if os.geteuid() != 0 or lacking:
        packages = f"; missing here: {' '.join(lacking)}" if lacking else ""
        return f"this needs root and Debian's packages docker.io tini iptables debootstrap docker-compose{packages}"
    return ""


class Engine:
    """`with Engine(folder) as engine:` starts dockerd with all of its files in the folder, and stops it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DOCKER", "TASKSTREAM_"))},
            "DOCKER_HOST": f"unix://{folder / 'docker.sock'}",
            "DOCKER_BUILDKIT": "1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        settings = self.folder / "daemon.json"
        settings.write_text(json.dumps(_SETTINGS), "utf-8")
        command = [
            *("dockerd", "--config-file", str(settings), "--data-root", str(self.folder / "data")),
            *("--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid")),
            *("--host", self.environment["DOCKER_HOST"]),
        ]
        with (self.folder / "dockerd.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        wait_until(self._answers, lambda: (self.folder / "dockerd.log").read_text("utf-8", "replace")[-2_000:])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def run(self, *words: str, given: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the client to its end.

        Raises:
            RuntimeError: it failed, and `check` is set; the message has the end of its output.
        """
        done = subprocess.run(
            [DOCKER, *words], env=self.environment, input=given, capture_output=True, text=True, check=False
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"docker {' '.join(words)}: {(done.stdout + done.stderr)[-4_000:]}")
        return done

    def inspect(self, container: str) -> dict[str, object]:
        """What the engine knows of a container."""
        found: dict[str, object] = json.loads(self.run("inspect", container).stdout)[0]
        return found

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            log = (self.folder / "dockerd.log").read_text("utf-8", "replace")
            raise RuntimeError(f"dockerd ended with exit code {self._process.returncode}: {log[-2_000:]}")
        return self.run("version", check=False).returncode == 0
