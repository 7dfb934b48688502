"""The files of one Kafka node: properties, logging configuration, formatted storage. It runs no process."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROPERTIES = """\
process.roles=broker,controller
node.id={node_id}
{quorum}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={storage}
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
# After a kill -9, the controller readmits the broker only when its old session has expired (default 9 s).
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""

LOGGING = """\
status=warn
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %c{1} %m%n
rootLogger.level=info
rootLogger.appenderRef.console.ref=console
logger.cleaner.name=org.apache.kafka.storage.internals.log.LogCleaner
logger.cleaner.level=warn
# Without this, every new client adds about a hundred lines of its settings to the log.
logger.settings.name=org.apache.kafka.common.config
logger.settings.level=warn
"""


REPLICAS = 3
"""Replicas of each partition, in a cluster of at least as many brokers."""


def temporary_files(data_dir: Path) -> Path:
    """The java.io.tmpdir of a program that has its data in `data_dir`."""
    return data_dir.absolute() / "tmp"


def clear_temporary_files(data_dir: Path) -> None:
    """Make that folder, without what a killed program left there. None may run in `data_dir`."""
    shutil.rmtree(temporary_files(data_dir), ignore_errors=True)
    temporary_files(data_dir).mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class KafkaNode:
    """A node's folder and ports. The folder can be reused, also with other ports, and also after a kill -9."""

    data_dir: Path
    port: int
    controller_port: int
    node_id: int = 1
    controllers: Mapping[int, int] = field(default_factory=dict)
    """[node id] The controller ports of all nodes of the cluster, this one included; empty: it is the only node."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Further settings of the broker, in Kafka's names; they replace ours."""

    @property
    def properties_file(self) -> Path:
        """The configuration that `kafka.Kafka` is started with."""
        return self.data_dir / "server.properties"

    @property
    def logging_file(self) -> Path:
        """log4j's configuration. It logs to standard output, which GuardedProcess appends to a file."""
        return self.data_dir / "log4j2.properties"

    @property
    def storage(self) -> Path:
        """The folder of Kafka's data."""
        return self.data_dir / "storage"

    @property
    def temporary_files(self) -> Path:
        """Java's folder for temporary files, such as the native libraries of compression."""
        return temporary_files(self.data_dir)

    @property
    def is_formatted(self) -> bool:
        """Whether the storage is formatted."""
        return self.storage.is_dir()

    @property
    def cluster_id(self) -> str | None:
        """The id of the cluster that the storage is formatted for; None while it is not formatted."""
        if not self.is_formatted:
            return None
        lines = (self.storage / "meta.properties").read_text(encoding="ascii").splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("cluster.id="))

    def write(self) -> None:
        """Write the configuration files, replacing old ones; remove the temporary files that a killed broker left.

        No broker may run in the folder.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        clear_temporary_files(self.data_dir)
        self.properties_file.write_text(self._properties(self.storage), encoding="ascii")
        self.logging_file.write_text(LOGGING, encoding="ascii")

    def begin_format(self) -> Sequence[str]:
        """Prepare a format; return the arguments of `kafka.tools.StorageTool` except the cluster id (`-t ID`).

        The format writes to a folder with a temporary name, so that an interrupted format is not taken for storage.
        """
        shutil.rmtree(self._fresh_storage, ignore_errors=True)
        properties = self.data_dir / "format.properties"
        properties.write_text(self._properties(self._fresh_storage), encoding="ascii")
        return ("format", *(() if self.controllers else ("--standalone",)), "-c", str(properties))

    def end_format(self) -> None:
        """Rename the formatted storage to its final name."""
        self._fresh_storage.rename(self.storage)

    @property
    def _fresh_storage(self) -> Path:
        return self.data_dir / "storage.new"

    def _properties(self, storage: Path) -> str:
        replicas = min(REPLICAS, max(1, len(self.controllers)))
        ours = PROPERTIES.format(
            node_id=self.node_id,
            quorum=self._quorum(),
            port=self.port,
            controller_port=self.controller_port,
            storage=_escaped(str(storage.absolute())),
            replicas=replicas,
            in_sync=max(1, replicas - 1),
        )
        return ours + "".join(f"{name}={_escaped(value)}\n" for name, value in self.properties.items())

    def _quorum(self) -> str:
        """The controllers: a single node keeps them in its log, several read them here, so that ports can change."""
        if not self.controllers:
            return f"controller.quorum.bootstrap.servers=127.0.0.1:{self.controller_port}"
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in sorted(self.controllers.items()))
        return f"controller.quorum.voters={voters}"


def _escaped(value: str) -> str:
    """The value for a Java properties file: a Unicode escape for all but printable ASCII, and for the backslash."""
    units = value.encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 < code < 0x7F and code != 0x5C else f"\\u{code:04x}" for code in codes)
