"""The images of the Compose file: the named ones where a registry of images answers, and stand-ins elsewhere.

A stand-in runs the program that the named image has, or one with the same interface, under the same user and with the
same health check: Kafka from its jars with its own container entry point, Prometheus from Debian, and the tests' schema
registry. Nothing stands in for Grafana.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from taskstream.compose.local.kafka_jars import default_cache_dir, install_jars
from tests.containers.engine import Engine

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"
SUITE = "bookworm"


class Images:
    """Brings images into an engine. `stood_in` and `absent` say afterwards what could not be had."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        services = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text("utf-8"))["services"].values()
        self.own = _by_default(next(each["image"] for each in services if "build" in each))
        self.named = list(dict.fromkeys(each["image"] for each in services if "build" not in each))
        self.stood_in: list[str] = []
        self.absent: list[str] = []

    def bring(self, name: str) -> None:
        """Pull an image, or build its stand-in under the same name."""
        if self._engine.run("image", "inspect", name, check=False).returncode == 0:
            self.stood_in.append(name)  # kept from an earlier run in the same folder
        elif self._engine.run("pull", "--quiet", name, check=False).returncode != 0:
            self._stand_in(name)

    def megabytes(self, name: str) -> float:
        """The size of an image, with that of the image below it."""
        return int(self._engine.run("image", "inspect", "--format", "{{.Size}}", name).stdout) / 1e6

    def _stand_in(self, name: str) -> None:
        part = name.partition(":")[0].rpartition("/")[2]
        if part == "python":
            self._python(name)
        elif (STAND_INS / f"{part}.Dockerfile").exists():
            context = self._engine.folder / f"context-{part}"
            shutil.copytree(STAND_INS, context, dirs_exist_ok=True)
            shutil.copy(ROOT / "tests" / "schemas" / "registry" / "registry_server.py", context)
            if part == "kafka":
                shutil.copytree(install_jars(default_cache_dir({}), print), context / "jars")
            base = f"PYTHON={python_image()}"
            build = ("build", "--network", "host", "--build-arg", base, "--file", str(context / f"{part}.Dockerfile"))
            self._engine.run(*build, "--tag", name, str(context))
        else:
            self.absent.append(name)
            return
        self.stood_in.append(name)

    def _python(self, name: str) -> None:
        """Debian with its own Python, made from the mirror that this machine's apt uses."""
        root = self._engine.folder / "rootfs"
        wanted = "ca-certificates,curl,python3,python3-venv"
        command = ["debootstrap", "--variant=minbase", f"--include={wanted}", SUITE, str(root), _mirror()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"debootstrap: {(done.stdout + done.stderr)[-2_000:]}")
        for file in (Path("/etc/pip.conf"), Path("/etc/ssl/certs/ca-certificates.crt")):
            if file.exists():
                shutil.copy(file.resolve(), root / file.relative_to("/"))
        for link in ("python", "python3"):
            (root / "usr/local/bin" / link).symlink_to("../../bin/python3")
        with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as packed:
            command = ["/usr/bin/docker", "import", "-", name]
            subprocess.run(command, env=self._engine.environment, stdin=packed.stdout, check=True, capture_output=True)


def python_image() -> str:
    """The base image that the Dockerfile names."""
    lines = (ROOT / "compose" / "Dockerfile").read_text("utf-8").splitlines()
    (tag,) = [line.removeprefix("ARG PYTHON=") for line in lines if line.startswith("ARG PYTHON=")]
    return f"python:{tag}"


def _by_default(value: str) -> str:
    """The value with each ${NAME:-default} replaced by its default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def _mirror() -> str:
    """The first source of packages that apt is configured for."""
    found = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)"], capture_output=True, text=True, check=True
    )
    sites = [line.split()[0] for line in found.stdout.splitlines() if line.endswith(f" {SUITE}")]
    if not sites:
        raise RuntimeError(f"apt has no source of Debian {SUITE}, which the base image stands on: add one")
    return sites[0]
