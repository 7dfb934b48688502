"""A local Apache Kafka of one or several nodes, each both broker and controller, with their data in one folder.

It chooses the ports and starts, awaits and stops the nodes. It must not know the topics.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from taskstream.compose.errors import BrokerCountDiffers, BrokerStartError
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.kafka_java import PORT_TAKEN, new_cluster_id
from taskstream.compose.local.kafka_node import KafkaNode
from taskstream.compose.local.local_kafka import PORT_ATTEMPTS, STOP_TIMEOUT_S, LocalKafka, ignore
from taskstream.compose.local.ports import free_ports
from taskstream.compose.local.readiness import QUIET

START_TIMEOUT_S = 120.0
METADATA_TIMEOUT_S = 2.0
SINGLE_HEAP = "1g"
MEMBER_HEAP = "384m"
_POLL_S = 0.1


def no_properties(_node_id: int, _port: int, _controller_port: int) -> Mapping[str, str]:
    """The default of `properties`."""
    return {}


class LocalCluster:
    """`brokers` nodes. `with LocalCluster(folder, brokers=3, cache_dir=...) as cluster:` starts and stops them.

    A single node has its data in the folder itself, several have a folder each. With three or more brokers a topic has
    three replicas by default, of which two must be in sync for a write. `port` is that of the first broker, and each
    further one has the next port; None means free ports. `heap` is java's -Xmx of each node. `properties` gives further
    settings of a node, which replace ours, for its id, its port and its controller port.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        brokers: int,
        cache_dir: Path,
        port: int | None = None,
        heap: str | None = None,
        notify: Callable[[str], None] = ignore,
        properties: Callable[[int, int, int], Mapping[str, str]] = no_properties,
    ) -> None:
        self.data_dir = data_dir
        self.brokers = brokers
        self.nodes: dict[int, LocalKafka] = {}
        """[node id] The nodes; known after `prepare`."""
        self._cache_dir = cache_dir
        self._port = port
        self._heap = heap or (SINGLE_HEAP if brokers == 1 else MEMBER_HEAP)
        self._notify = notify
        self._properties = properties

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all brokers for clients; known after `prepare`."""
        return ",".join(node.bootstrap_servers for node in self.nodes.values())

    @property
    def client(self) -> KafkaClient:
        """The client configuration for this cluster."""
        return KafkaClient(self.bootstrap_servers)

    def prepare(self) -> dict[int, list[str]]:
        """[node id] Prepare jars, ports, files and storage of every node; return their command lines.

        Each command must run while holding a lock on its node's `lock_file`.

        Raises:
            BrokerCountDiffers: the folder holds a cluster of another number of brokers.
            ComposeError: see LocalKafka.prepare.
        """
        self._choose()
        return {number: node.prepare() for number, node in self.nodes.items()}

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start all nodes together, and return when every broker is registered and answers.

        Raises:
            BrokerStartError: a node ended, or the brokers did not answer within `timeout_s`. Other errors as for
                `prepare`, and PortInUseError.
        """
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self._choose()
            try:
                self._start(timeout_s)
            except BrokerStartError as error:
                self.kill()
                if attempt == PORT_ATTEMPTS or PORT_TAKEN not in str(error):
                    raise
            except BaseException:
                self.kill()
                raise
            else:
                return

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop all nodes together with SIGTERM, and with SIGKILL after `timeout_s`."""
        running = [node for node in self.nodes.values() if node.is_running]
        for node in running:
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM)
        deadline_s = time.monotonic() + timeout_s
        for node in running:
            node.stop(max(0.0, deadline_s - time.monotonic()))

    def kill(self) -> None:
        """End all nodes as a crash would, with SIGKILL."""
        for node in self.nodes.values():
            if node.is_running:
                node.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _choose(self) -> None:
        """Choose ports and cluster id. The ports stay the same over restarts of a node."""
        self._check_count()
        ports = free_ports(2 * self.brokers)
        listening = ports[: self.brokers] if self._port is None else range(self._port, self._port + self.brokers)
        controllers = dict(enumerate(ports[self.brokers :], 1))
        folders = {number: self._folder(number) for number in controllers}
        formatted = (KafkaNode(folder, 0, 0).cluster_id for folder in folders.values())
        cluster_id = next(filter(None, formatted), None) or new_cluster_id()
        self.nodes = {
            number: LocalKafka(
                folders[number],
                cache_dir=self._cache_dir,
                port=port,
                controller_port=controllers[number],
                heap=self._heap,
                notify=self._notify,
                node_id=number,
                controllers=controllers if self.brokers > 1 else {},
                cluster_id=cluster_id,
                properties=self._properties(number, port, controllers[number]),
            )
            for number, port in enumerate(listening, 1)
        }

    def _check_count(self) -> None:
        """A cluster keeps its number of nodes: the others would not find their controllers and replicas."""
        found = 1 if KafkaNode(self.data_dir, 0, 0).is_formatted else len(list(self.data_dir.glob("broker-*")))
        if found not in (0, self.brokers):
            count = "1 broker" if found == 1 else f"{found} brokers"
            raise BrokerCountDiffers(f"{self.data_dir} holds a Kafka of {count}, not {self.brokers}", found)
        if not found and self.brokers > 1:
            for number in range(1, self.brokers + 1):
                self._folder(number).mkdir(parents=True, exist_ok=True)

    def _folder(self, number: int) -> Path:
        return self.data_dir if self.brokers == 1 else self.data_dir / f"broker-{number}"

    def _start(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        for node in self.nodes.values():
            node.launch()
        for node in self.nodes.values():
            node.await_answer(max(0.0, deadline_s - time.monotonic()))
        while (count := registered_brokers(self.client)) < self.brokers:
            if time.monotonic() > deadline_s:
                logs = ", ".join(str(node.log_file) for node in self.nodes.values())
                raise BrokerStartError(f"{count} of {self.brokers} brokers answer after {timeout_s:g} s ({logs})")
            time.sleep(_POLL_S)


def registered_brokers(client: KafkaClient, timeout_s: float = METADATA_TIMEOUT_S) -> int:
    """The number of brokers that the cluster lists; 0 when it does not answer."""
    admin = AdminClient(client.config(**QUIET))
    try:
        return len(admin.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return 0
