"""The files of a one-node Kafka: its properties, logging, formatted storage. It knows no process and no cache."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={storage}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
# After a kill -9 the controller lets the broker in again only when the dead one's session is over (default 9 s).
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
# Each client that comes would otherwise be told with some hundred lines of its settings.
logger.settings.name=org.apache.kafka.common.config
logger.settings.level=warn
"""


@dataclass(frozen=True)
class KafkaNode:
    """A node's folder and ports. The folder may be used again, also with other ports, also after a kill -9."""

    data_dir: Path
    port: int
    controller_port: int

    @property
    def properties_file(self) -> Path:
        """What `kafka.Kafka` is started with."""
        return self.data_dir / "server.properties"

    @property
    def logging_file(self) -> Path:
        """log4j's configuration: everything to the console, which the starter keeps in a file."""
        return self.data_dir / "log4j2.properties"

    @property
    def storage(self) -> Path:
        """Kafka's own files."""
        return self.data_dir / "storage"

    @property
    def is_formatted(self) -> bool:
        """Whether there is storage to start from."""
        return self.storage.is_dir()

    def write(self) -> None:
        """Write the configuration files anew."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.properties_file.write_text(self._properties(self.storage), encoding="ascii")
        self.logging_file.write_text(LOGGING, encoding="ascii")

    def begin_format(self) -> Sequence[str]:
        """Make ready for `kafka.tools.StorageTool`; gives its arguments but for the cluster's id (`-t ID`).

        The storage is made under another name: what a killed format leaves is never taken for storage.
        """
        shutil.rmtree(self._fresh_storage, ignore_errors=True)
        properties = self.data_dir / "format.properties"
        properties.write_text(self._properties(self._fresh_storage), encoding="ascii")
        return ("format", "--standalone", "-c", str(properties))

    def end_format(self) -> None:
        """Give the formatted storage its name."""
        self._fresh_storage.rename(self.storage)

    @property
    def _fresh_storage(self) -> Path:
        return self.data_dir / "storage.new"

    def _properties(self, storage: Path) -> str:
        return PROPERTIES.format(
            port=self.port, controller_port=self.controller_port, storage=_escaped(str(storage.absolute()))
        )


def _escaped(value: str) -> str:
    """A value as Java reads it back from a properties file."""
    units = value.encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 < code < 0x7F and code != 0x5C else f"\\u{code:04x}" for code in codes)
