"""A local Apache Kafka: one node on this machine, with its data in one folder.

It prepares, starts, awaits and stops a broker. It must not know the topics.
"""

from __future__ import annotations

import fcntl
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from taskstream.compose.errors import BrokerStartError, PortInUseError
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.guarded_process import GuardedProcess
from taskstream.compose.local.kafka_jars import cache_lock, find_program, install_jars
from taskstream.compose.local.kafka_java import PORT_TAKEN, KafkaJava, explain, new_cluster_id
from taskstream.compose.local.kafka_node import KafkaNode
from taskstream.compose.local.ports import free_ports, is_free
from taskstream.compose.local.readiness import kafka_answers

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
HANDOVER_TIMEOUT_S = 8.0
PROBE_TIMEOUT_S = 1.0
PORT_ATTEMPTS = 3
"""A port that was free when it was chosen can be taken when Kafka listens on it."""
ALL_LINES = 10_000


def ignore(_message: str) -> None:
    """The default of `notify`."""


class LocalKafka:
    """One broker process. `with LocalKafka(folder, cache_dir=...) as kafka:` starts and stops it.

    Ports that are not given are free ones; the ports stay the same over restarts. The broker ends when this process
    ends, however that happens. `notify` is called with a sentence before a step that takes long. `node_id`,
    `controllers` (see KafkaNode) and `cluster_id` make it a member of a cluster; see LocalCluster. `properties` are
    further settings of the broker, which replace ours.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        cache_dir: Path,
        port: int | None = None,
        controller_port: int | None = None,
        heap: str = "1g",
        handover_timeout_s: float = HANDOVER_TIMEOUT_S,
        notify: Callable[[str], None] = ignore,
        node_id: int = 1,
        controllers: Mapping[int, int] = MappingProxyType({}),
        cluster_id: str | None = None,
        properties: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._properties = dict(properties)
        self.node_id = node_id
        self.data_dir = data_dir
        self.log_file = data_dir / "kafka.log"
        self.lock_file = data_dir / "lock"
        self._cache_dir = cache_dir
        self._port = port
        self._controller_port = controller_port
        self._heap = heap
        self._handover_timeout_s = handover_timeout_s
        self._notify = notify
        self._controllers = dict(controllers)
        self._cluster_id = cluster_id
        self._process: GuardedProcess | None = None

    @property
    def port(self) -> int:
        """The port that the broker listens on; known after `prepare`."""
        assert self._port, "the port is chosen by prepare() or start()"
        return self._port

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def client(self) -> KafkaClient:
        """The client configuration for this broker."""
        return KafkaClient(self.bootstrap_servers)

    @property
    def pid(self) -> int:
        """The process id of the broker's java."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the broker's process runs."""
        return self._process is not None and self._process.poll() is None

    def prepare(self) -> list[str]:
        """Prepare jars, ports, files and storage; return the broker's command line.

        The command must run while holding a lock on `lock_file`.

        Raises:
            MissingProgramError: java or mvn is not installed.
            KafkaInstallError: Maven could not download Kafka.
            BrokerStartError: another broker uses the folder, or formatting the storage failed.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        _await_unlocked(self.lock_file, self._handover_timeout_s)
        java = KafkaJava(find_program("java"), install_jars(self._cache_dir, self._notify))
        _archive_classes(java, self._cache_dir, self._notify)
        free = free_ports(2)
        self._port = self._port or free[0]
        self._controller_port = self._controller_port or free[1]
        node = KafkaNode(
            self.data_dir, self._port, self._controller_port, self.node_id, self._controllers, self._properties
        )
        node.write()
        if not node.is_formatted:
            java.format(node, self._cluster_id or new_cluster_id())
        return java.broker(node, self._heap)

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start the broker and return when it answers.

        Raises:
            PortInUseError: another program listens on the port. Other errors as for `prepare`.
        """
        assert not self.is_running, "already started"
        given = self._port, self._controller_port
        for attempt in range(1, PORT_ATTEMPTS + 1):
            try:
                self.launch()
                self.await_answer(timeout_s)
            except BrokerStartError as error:
                if all(given) or attempt == PORT_ATTEMPTS or PORT_TAKEN not in str(error):
                    raise
                self._port, self._controller_port = given
            else:
                return

    def launch(self) -> None:
        """Start the broker's process and return at once; `await_answer` waits.

        Raises:
            PortInUseError: another program listens on the port. Other errors as for `prepare`.
        """
        assert not self.is_running, "already started"
        command = self.prepare()
        if not is_free(self.port):
            raise PortInUseError(f"port {self.port} is taken: another program listens there; choose another one, or 0")
        self._process = GuardedProcess(command, self.log_file, lock=self.lock_file)
        self._process.start()

    def await_answer(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until the launched broker answers; end it when it does not.

        Raises:
            BrokerStartError: it ended, or did not answer within `timeout_s`.
        """
        assert self._process is not None, "not started"
        try:
            _await_answer(self._process, self.client, timeout_s)
        except BaseException:
            self._process.kill()
            raise

    def signal(self, signum: signal.Signals) -> None:
        """Send the broker's process a signal."""
        assert self._process is not None, "not started"
        self._process.signal(signum)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop the broker with SIGTERM, and with SIGKILL after `timeout_s`; does nothing if it does not run."""
        if self._process is not None:
            self._process.stop(timeout_s)
            self._process = None

    def kill(self) -> None:
        """End the broker as a crash would, with SIGKILL."""
        assert self._process is not None, "not started"
        self._process.kill()
        self._process = None

    def restart(self) -> None:
        """Stop the broker if it runs, and start it with the same ports and data."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _await_answer(process: GuardedProcess, client: KafkaClient, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not kafka_answers(client, PROBE_TIMEOUT_S):
        code = process.poll()
        if code is not None or time.monotonic() > deadline:
            raise BrokerStartError(explain(f"Kafka ({process.output})", code, process.last_lines(ALL_LINES)))


def _await_unlocked(lock_file: Path, timeout_s: float) -> None:
    """Wait for a previous broker to release the folder: two brokers in one folder would corrupt its data.

    Raises:
        BrokerStartError: the folder is still locked after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    with lock_file.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise BrokerStartError(
                        f"another Kafka uses the folder {lock_file.parent}: stop it, or choose another folder"
                    ) from error
                time.sleep(0.05)
            else:
                return


def _archive_classes(java: KafkaJava, cache_dir: Path, notify: Callable[[str], None]) -> None:
    """Create the class data archive by running a temporary broker once; later starts then take half the time."""
    if java.class_archive.exists():
        return
    with cache_lock(cache_dir), tempfile.TemporaryDirectory(prefix="classes.", dir=java.jars.parent) as scratch:
        if java.class_archive.exists():
            return
        notify("archiving Kafka's classes for a faster start (once, about 10 s)")
        fresh = Path(scratch) / "classes.jsa"
        port, controller_port = free_ports(2)
        node = KafkaNode(Path(scratch), port, controller_port)
        node.write()
        java.format(node, new_cluster_id())
        command = java.broker(node, "1g", [f"-XX:ArchiveClassesAtExit={fresh}"])
        process = GuardedProcess(command, Path(scratch) / "kafka.log")
        process.start()
        try:
            _await_answer(process, KafkaClient(f"127.0.0.1:{node.port}"), START_TIMEOUT_S)
        finally:
            process.stop(START_TIMEOUT_S)
        fresh.touch()
        fresh.rename(java.class_archive)
