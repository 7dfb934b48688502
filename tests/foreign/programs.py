"""How programs that nobody here wrote get onto this machine: once, into a cache folder, at pinned versions.

Python packages by pip into an environment of their own, npm packages by `npm ci`, Java's by Maven, programs of Debian
unpacked from their package. None of them is installed into the system, and none needs root.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from taskstream.compose.local.kafka_jars import default_cache_dir, find_program

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
KUSTOMIZE = "v5.6.0"
_TEMPLATES = "usr/share/prometheus/alertmanager"


@pytest.fixture(scope="session")
def foreign_python() -> Path:
    """The Python of an environment with the packages in requirements/clients.txt."""
    pinned = ROOT / "requirements" / "clients.txt"
    version = f"py{sys.version_info.major}{sys.version_info.minor}"

    def fill(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", str(folder))
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes")
        _run(str(folder / "bin" / "python"), *pip, "-r", str(pinned))

    return _cached(f"clients-{version}-{_digest(pinned)}", fill) / "bin" / "python"


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """A folder in which `node FILE.js` can import the packages of `node/package.json`."""
    return _npm_folder("node")


@pytest.fixture(scope="session")
def asyncapi_folder() -> Path:
    """The same with those of `asyncapi/package.json`: AsyncAPI's official parser."""
    return _npm_folder("asyncapi")


@pytest.fixture(scope="session")
def axe_script() -> Path:
    """The script that checks a page for accessibility, which a browser runs in the page: `axe/package.json`."""
    return _npm_folder("axe") / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def openapi_folder() -> Path:
    """The same with those of `openapi/package.json`: TypeScript, and a client of types made from OpenAPI documents."""
    return _npm_folder("openapi")


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The checker of Prometheus' rules."""
    return _debian_program("prometheus", "usr/bin/promtool")


@pytest.fixture(scope="session")
def alertmanager() -> Path:
    """Prometheus' Alertmanager, not running. It must be started in the folder three levels above it.

    Debian's reads its templates at an absolute path, where nobody without root can put them: in a copy of the program,
    the path is one of the same length, relative to that folder.
    """
    program = _debian_program("prometheus-alertmanager", "usr/bin/prometheus-alertmanager")
    if not program.is_relative_to(default_cache_dir(os.environ)):
        return program  # installed, with its templates

    def fill(folder: Path) -> None:
        shutil.copytree(program.parents[2], folder)
        copy = folder / program.relative_to(program.parents[2])
        copy.write_bytes(copy.read_bytes().replace(f"/{_TEMPLATES}".encode(), f"{_TEMPLATES}/".encode()))

    return _cached("relocated-prometheus-alertmanager", fill) / "usr/bin/prometheus-alertmanager"


@pytest.fixture(scope="session")
def nginx() -> Path:
    """The web server as a proxy, not running."""
    return _debian_program("nginx", "usr/sbin/nginx")


@pytest.fixture(scope="session")
def java_sdk() -> Sequence[str]:
    """The command that runs a Java source file with the packages of `sdk-java/pom.xml`; the file comes after it."""
    java, maven, pinned = find_program("java"), find_program("mvn"), HERE / "sdk-java" / "pom.xml"

    def fill(folder: Path) -> None:
        folder.mkdir()
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'jars'}")
        _run(maven, "-q", "-B", "-f", str(pinned), *goal)

    return [java, "-cp", f"{_cached(f'sdk-java-{_digest(pinned)}', fill) / 'jars'}/*"]


@pytest.fixture(scope="session")
def kustomize() -> list[str]:
    """The command that builds a folder of Kubernetes manifests: kubectl's own, or one that Go compiles."""
    if shutil.which("kubectl") is not None:
        return ["kubectl", "kustomize"]
    if shutil.which("go") is None:
        pytest.fail("no kubectl: install version 1.21 or later, or Go, which compiles kustomize", pytrace=False)

    def fill(folder: Path) -> None:
        folder.mkdir()
        go = ["env", f"GOBIN={folder}", "go", "install", f"sigs.k8s.io/kustomize/kustomize/v5@{KUSTOMIZE}"]
        _run(*go)

    return [str(_cached(f"kustomize-{KUSTOMIZE}", fill) / "kustomize"), "build"]


def _npm_folder(name: str) -> Path:
    pinned = HERE / name
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.fail("no Node.js: install one (Debian: apt-get install nodejs npm)", pytrace=False)

    def fill(folder: Path) -> None:
        folder.mkdir()
        for each in ("package.json", "package-lock.json"):
            shutil.copy(pinned / each, folder)
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder))

    return _cached(f"{name}-{_digest(pinned / 'package-lock.json')}", fill)


def _debian_program(package: str, path: str) -> Path:
    """The program on the PATH, else the one that is unpacked from Debian's package."""
    name = Path(path).name
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    if shutil.which("apt-get") is None:
        pytest.fail(f"no {name}: install one (Debian: apt-get install {package})", pytrace=False)

    def fill(folder: Path) -> None:
        folder.mkdir()
        if os.geteuid() == 0:
            _run("apt-get", "update", "-qq")
        _run("apt-get", "download", "-qq", package, cwd=folder)
        _run("dpkg-deb", "--extract", *map(str, folder.glob("*.deb")), str(folder))

    return _cached(f"debian-{package}", fill) / path


def _cached(name: str, fill: Callable[[Path], None]) -> Path:
    """The folder of this name in the cache, filled once even if several processes ask at once."""
    cache = default_cache_dir(os.environ)
    cache.mkdir(parents=True, exist_ok=True)
    folder, complete = cache / name, cache / name / "complete"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)  # an unfinished one
            fill(folder)
            complete.touch()
    return folder


def _digest(pinned: Path) -> str:
    return hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        output = done.stdout.strip()[-500:] or "no output"
        pytest.fail(f"{' '.join(command[:4])} ended with {done.returncode}: {output}; check the network", pytrace=False)
