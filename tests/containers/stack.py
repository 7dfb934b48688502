"""The Compose file as it runs: its commands, and what the engine and the machine's /proc say of each container.

It judges nothing. Compose 1 does not know `name`, so that it gets a transcript of the file with that, the extensions and the
services without an image left out; `build` too, for the image is built before.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.containers.engine import Engine
from tests.containers.images import ROOT, Images
from tests.waiting import wait_until

FOLDER = ROOT / "compose"
PROJECT = "taskstream"
ONCE = frozenset({"topics", "schemas", "token"})
"""Services that end by themselves."""


@dataclass(frozen=True)
class ContainerProcess:
    """One process of a container, as the machine's /proc shows it."""

    name: str
    uid: int
    capabilities: int
    """The effective and the bounding set, or'ed."""
    no_new_privileges: bool


class Stack:
    """The services of the Compose file, without those of the absent images."""

    def __init__(self, engine: Engine, images: Images) -> None:
        self._engine = engine
        document = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
        services = {name: each for name, each in document["services"].items() if each["image"] not in images.absent}
        for each in services.values():
            if each.pop("build", None):
                each["image"] = images.own
        self.services: dict[str, dict[str, Any]] = services
        self.lasting = [name for name in services if name not in ONCE]
        self._file = engine.folder / "compose.yaml"
        self._file.write_text(yaml.safe_dump({"services": services, "volumes": document["volumes"]}), "utf-8")
        self.volumes = {f"{PROJECT}_{name}" for name in document["volumes"]}

    def compose(self, *words: str) -> str:
        """Run Compose, and return its standard output.

        Raises:
            RuntimeError: it failed; the message has the end of its output.
        """
        files = ("--project-name", PROJECT, "--project-directory", str(FOLDER), "--file", str(self._file))
        program = ("docker-compose",) if shutil.which("docker-compose") else ("/usr/bin/docker", "compose")
        done = subprocess.run(
            [*program, *files, *words], env=self._engine.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"compose {' '.join(words)}: {(done.stdout + done.stderr)[-4_000:]}")
        return done.stdout

    def container(self, service: str) -> str:
        """The id of a service's container."""
        labels = [f"label=com.docker.compose.{key}" for key in (f"project={PROJECT}", f"service={service}")]
        filters = [word for label in labels for word in ("--filter", label)]
        return self._engine.run("ps", "--all", "--quiet", *filters).stdout.strip()

    def state(self, service: str) -> dict[str, Any]:
        """The engine's record of the container's state."""
        state = self._engine.inspect(self.container(service))["State"]
        assert isinstance(state, dict)
        return state

    def wait_healthy(self, service: str) -> None:
        """Wait until the container's health check succeeds."""
        wait_until(
            lambda: self.state(service)["Health"]["Status"] == "healthy", lambda: self.last_lines(service), pause_s=0.5
        )

    def last_lines(self, service: str) -> str:
        """The end of the container's log, for the message of a failure."""
        done = self._engine.run("logs", "--tail", "15", self.container(service), check=False)
        return f"{service}: {done.stdout}{done.stderr}"

    def processes(self, service: str) -> list[ContainerProcess]:
        """Every process in the container; one of a health check may end meanwhile."""
        found = []
        for pid in self._engine.run("top", self.container(service), "-eo", "pid").stdout.split()[1:]:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.append(_process(int(pid)))
        return found

    def writes_to_root(self, service: str) -> bool:
        """Whether a process of the container could write a file where only the image writes."""
        done = self._engine.run("exec", self.container(service), "touch", "/usr/probe", "/probe", check=False)
        return "Read-only file system" not in done.stderr

    def kill(self, service: str) -> None:
        """SIGKILL the container's first process from outside, and wait until it has been started again."""
        before = self.state(service)
        os.kill(before["Pid"], signal.SIGKILL)
        wait_until(lambda: self.state(service)["StartedAt"] != before["StartedAt"], pause_s=0.5)

    def stop(self, service: str) -> int:
        """Stop the container with its own grace period, and return the exit code."""
        self._engine.run("stop", self.container(service))
        code = self.state(service)["ExitCode"]
        assert isinstance(code, int)
        return code

    def leftover_volumes(self) -> set[str]:
        """Volumes that the file does not name."""
        return set(self._engine.run("volume", "ls", "--quiet").stdout.split()) - self.volumes


def _process(pid: int) -> ContainerProcess:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return ContainerProcess(
        status["Name"],
        int(status["Uid"].split()[0]),
        int(status["CapEff"], 16) | int(status["CapBnd"], 16),
        status["NoNewPrivs"] == "1",
    )
