"""Downloads Kafka's jars with Maven, once, into a cache folder. It starts no Kafka."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from taskstream.compose.errors import KafkaInstallError, MissingProgramError

KAFKA_VERSION = "4.3.1"
POM = Path(__file__).with_name("kafka-pom.xml")
REMEDIES = {
    "java": "install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)",
    "mvn": "install Maven, which downloads Kafka once (Debian: apt-get install maven)",
}


def default_cache_dir(environment: Mapping[str, str]) -> Path:
    """The default cache folder: `$XDG_CACHE_HOME/taskstream`, else `~/.cache/taskstream`."""
    base = environment.get("XDG_CACHE_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "taskstream"


def find_program(name: str, path: str | None = None) -> str:
    """The full path of a program, looked up in `path` (default: the PATH).

    Raises:
        MissingProgramError: it is not there.
    """
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingProgramError(f"{name} is not on the PATH: {REMEDIES[name]}, or use a Kafka of your own")
    return found


def install_jars(cache_dir: Path, notify: Callable[[str], None], path: str | None = None) -> Path:
    """The folder of Kafka's jars; downloads them if it does not exist. Concurrent calls download once.

    `notify` is called with a sentence before a download.

    Raises:
        MissingProgramError: the jars are not cached, and mvn is not on the PATH.
        KafkaInstallError: Maven failed.
    """
    jars = cache_dir / f"kafka-{KAFKA_VERSION}" / "jars"
    if not jars.is_dir():
        mvn = find_program("mvn", path)
        with cache_lock(cache_dir):
            if not jars.is_dir():
                notify(f"downloading Kafka {KAFKA_VERSION} with Maven to {jars.parent} (once, 55 MB)")
                _copy_with_maven(mvn, jars)
    return jars


@contextmanager
def cache_lock(cache_dir: Path, name: str = f"kafka-{KAFKA_VERSION}") -> Iterator[None]:
    """An exclusive lock on a part of the cache across processes; the system releases it when the process ends."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_maven(mvn: str, *arguments: str) -> str | None:
    """Run Maven; None if it succeeded, else its exit code and its first error, as the end of a sentence."""
    done = subprocess.run(
        [mvn, "-q", "-B", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    lines = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it printed no error"]
    return f"(exit code {done.returncode}): {lines[0]}"


def _copy_with_maven(mvn: str, jars: Path) -> None:
    """Download into a temporary folder beside `jars`, and rename it when it is complete."""
    jars.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="jars.", dir=jars.parent) as fresh:
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}/jars")
        problem = run_maven(mvn, "-f", str(POM), *goal)
        if problem is not None:
            raise KafkaInstallError(
                f"mvn could not download Kafka {KAFKA_VERSION} {problem}; "
                "check the network and Maven's settings.xml, or use a Kafka of your own"
            )
        if not (Path(fresh) / "jars" / f"kafka_2.13-{KAFKA_VERSION}.jar").exists():
            raise KafkaInstallError(
                f"mvn succeeded but downloaded no kafka_2.13-{KAFKA_VERSION}.jar: run it by hand with -X"
            )
        os.rename(f"{fresh}/jars", jars)  # noqa: PTH104 -- shorter than with pathlib
