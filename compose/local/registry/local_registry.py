"""A local Apicurio Registry that keeps its schemas on the local Kafka: its download, its topics, its command line.

It starts no process, and it knows no schema.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from taskstream.compose.errors import RegistryInstallError, TopicsError
from taskstream.compose.local.kafka_jars import cache_lock, find_program, run_maven
from taskstream.compose.local.kafka_java import TUNING
from taskstream.compose.local.kafka_node import temporary_files

REGISTRY_VERSION = "3.0.9"
"""The newest release that runs on Java 17, as Kafka does: 3.3 needs Java 21."""
HEAP = "384m"
COMPATIBILITY = "FULL_TRANSITIVE"
"""What the released schemas keep: every version reads every other one of its record."""
JOURNAL, SNAPSHOTS, EVENTS = (f"schema-registry.{name}" for name in ("journal", "snapshots", "events"))
_ARTIFACT = f"io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all"
_JAR = f"apicurio-registry-app-{REGISTRY_VERSION}-runner.jar"
_TIMEOUT_S = 30.0
_GET = "org.apache.maven.plugins:maven-dependency-plugin:2.8:get"
"""The newest release whose `get` writes to a file. `copy` needs no file, but reads the POMs of all parents."""


def registry_url(port: int) -> str:
    """The address of the registry's Confluent-compatible API."""
    return f"http://127.0.0.1:{port}/apis/ccompat/v7"


def ready_url(port: int) -> str:
    """What answers 200 when the registry has read its schemas back; before, it answers other requests without them."""
    return f"http://127.0.0.1:{port}/health/ready"


def install_registry(cache_dir: Path, notify: Callable[[str], None], path: str | None = None) -> Path:
    """The jar of the registry; downloads it with Maven if the cache has none. Concurrent calls download once.

    `notify` is called with a sentence before a download. `path`: where to look for mvn (default: the PATH).

    Raises:
        MissingProgramError: the jar is not cached, and mvn is not on the PATH.
        RegistryInstallError: Maven failed, or what it downloaded is no registry.
    """
    folder = cache_dir / f"apicurio-registry-{REGISTRY_VERSION}"
    if not folder.is_dir():
        mvn = find_program("mvn", path)
        with cache_lock(cache_dir, folder.name):
            if not folder.is_dir():
                notify(f"downloading Apicurio Registry {REGISTRY_VERSION} with Maven to {folder} (once, 110 MB)")
                _download(mvn, folder)
    return folder / _JAR


def create_registry_topics(config: Mapping[str, Any]) -> None:
    """Create the registry's topics where they do not exist, before it does: its own would expire after a week.

    Raises:
        TopicsError: the cluster did not create them.
    """
    forever = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    topics = [NewTopic(JOURNAL, 1, config=forever), NewTopic(SNAPSHOTS, 1, config=forever), NewTopic(EVENTS, 1)]
    admin = AdminClient(dict(config))  # its requests end with it
    for name, created in admin.create_topics(topics, request_timeout=_TIMEOUT_S).items():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicsError(f"{name}: not created: {error.args[0].str()}") from error


def registry_command(jar: Path, data_dir: Path, port: int, bootstrap_servers: str) -> list[str]:
    """The command line of the registry. It listens on 127.0.0.1, and has no users: as the local Kafka.

    Its temporary files are in `temporary_files(data_dir)`, which must be there.

    Raises:
        MissingProgramError: java is not on the PATH.
    """
    settings = {
        "java.io.tmpdir": str(temporary_files(data_dir)),
        "quarkus.http.host": "127.0.0.1",
        "quarkus.http.port": str(port),
        "quarkus.http.cors": "false",
        "apicurio.storage.kind": "kafkasql",
        "apicurio.kafkasql.bootstrap.servers": bootstrap_servers,
        "apicurio.kafkasql.topic": JOURNAL,
        "apicurio.kafkasql.snapshots.topic": SNAPSHOTS,
        "apicurio.events.kafka.topic": EVENTS,
        "apicurio.storage.snapshot.location": str(data_dir.absolute()),
    }
    given = (f"-D{name}={value}" for name, value in settings.items())
    # Of a server that answers a few requests an hour, only the start matters: the first compiler is enough.
    return [find_program("java"), *TUNING, "-XX:TieredStopAtLevel=1", f"-Xmx{HEAP}", *given, "-jar", str(jar)]


def _download(mvn: str, folder: Path) -> None:
    """Download and unpack beside `folder`, and rename it when it is complete."""
    what = f"Apicurio Registry {REGISTRY_VERSION}"
    with tempfile.TemporaryDirectory(prefix="registry.", dir=folder.parent) as fresh:
        archive = Path(fresh) / "registry.tar.gz"
        problem = run_maven(mvn, _GET, "-Dtransitive=false", f"-Dartifact={_ARTIFACT}", f"-Ddest={archive}")
        if problem is not None:
            raise RegistryInstallError(
                f"mvn could not download {what} {problem}; check the network and Maven's settings.xml"
            )
        unpacked = Path(fresh) / "unpacked"
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(unpacked, filter="data")
        except (OSError, tarfile.TarError) as error:
            raise RegistryInstallError(f"what mvn downloaded as {what} cannot be unpacked: run mvn with -X") from error
        if not (unpacked / _JAR).exists():
            raise RegistryInstallError(f"what mvn downloaded as {what} has no {_JAR}: run mvn with -X")
        os.rename(unpacked, folder)  # noqa: PTH104 -- shorter than with pathlib
