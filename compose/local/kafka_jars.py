"""How Kafka's jars get onto this machine: brought once by Maven, kept in a cache folder. It starts no Kafka."""

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
    "mvn": "install Maven, it is needed once to bring Kafka (Debian: apt-get install maven)",
}


def default_cache_dir(environment: Mapping[str, str]) -> Path:
    """Where Kafka is kept unless told otherwise: `$XDG_CACHE_HOME/taskstream`, else `~/.cache/taskstream`."""
    base = environment.get("XDG_CACHE_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "taskstream"


def find_program(name: str, path: str | None = None) -> str:
    """The program's full path, looked up in `path` (default: the PATH). Raises MissingProgramError."""
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingProgramError(f"{name} is not on the PATH: {REMEDIES[name]}, or use a Kafka of your own")
    return found


def bring_jars(cache_dir: Path, notify: Callable[[str], None], path: str | None = None) -> Path:
    """The folder of Kafka's jars, brought first if it is not there; several processes may ask at once.

    Raises MissingProgramError, KafkaInstallError.
    """
    jars = cache_dir / f"kafka-{KAFKA_VERSION}" / "jars"
    if not jars.is_dir():
        mvn = find_program("mvn", path)
        with cache_lock(cache_dir):
            if not jars.is_dir():
                notify(f"bringing Kafka {KAFKA_VERSION} with Maven into {jars.parent} (once, 55 MB)")
                _copy_with_maven(mvn, jars)
    return jars


@contextmanager
def cache_lock(cache_dir: Path) -> Iterator[None]:
    """Held by the one process that is changing the cache; the system frees it when that process dies."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / f"kafka-{KAFKA_VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _copy_with_maven(mvn: str, jars: Path) -> None:
    """Copy into a folder beside, which gets its name only when it is complete."""
    jars.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="jars.", dir=jars.parent) as fresh:
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}/jars")
        done = subprocess.run(
            [mvn, "-q", "-B", "-f", str(POM), *goal],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it said nothing"]
            raise KafkaInstallError(
                f"mvn could not bring Kafka {KAFKA_VERSION} (exit code {done.returncode}): {lines[0]}; "
                "check the network and Maven's settings.xml, or use a Kafka of your own"
            )
        if not (Path(fresh) / "jars" / f"kafka_2.13-{KAFKA_VERSION}.jar").exists():
            raise KafkaInstallError(
                f"mvn ended well and brought no kafka_2.13-{KAFKA_VERSION}.jar: run it by hand with -X"
            )
        os.rename(f"{fresh}/jars", jars)  # noqa: PTH104 -- pathlib's would read worse
