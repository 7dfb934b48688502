"""The pipeline on one machine: its processes, their options, and how each reports that it is ready.

It knows the command lines of the other commands. It must not know how processes are supervised.
"""

from __future__ import annotations

import socket
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Never, Self

from taskstream.compose.errors import StackPortTaken, TopicsDiffer
from taskstream.compose.kafka_client import KafkaClient, write_properties
from taskstream.compose.local.kafka_node import clear_temporary_files
from taskstream.compose.local.local_cluster import LocalCluster
from taskstream.compose.local.local_token import local_token
from taskstream.compose.local.ports import free_ports, is_free
from taskstream.compose.local.readiness import http_answers, kafka_answers
from taskstream.compose.local.registry.local_registry import (
    COMPATIBILITY,
    create_registry_topics,
    install_registry,
    ready_url,
    registry_command,
    registry_url,
)
from taskstream.compose.local.supervised_service import Service, ServiceEvent
from taskstream.compose.local.supervisor import Supervisor
from taskstream.compose.sign_in_codes import SignInCodes
from taskstream.compose.topic_admin import create_topics, found_topics
from taskstream.schemas.topics import Difference, Topics, differences

HOST = "127.0.0.1"
PROBE_TIMEOUT_S = 1.0
DRAIN_TIMEOUT_S = 5
KAFKA_READY_S = 60.0
"""For each broker: they start at the same time and share the machine."""
REGISTRY_READY_S = 180.0
"""Five seconds of CPU time, and many times that on a busy machine."""
PROCESS_READY_S = 300.0
"""The first start after an installation compiles loops: half a minute of CPU time, and minutes on a busy machine."""
LOCAL_KAFKA = KafkaClient("")


@dataclass(frozen=True)
class StackSettings:
    """The settings of a stack. A port of 0 means any free port; `kafka` without brokers means a local Kafka."""

    data_dir: Path
    cache_dir: Path
    kafka: KafkaClient = LOCAL_KAFKA
    topics: Topics = field(default_factory=Topics)
    tokens: Path | None = None
    """A file of hashed tokens; None: a token is generated and kept in the data folder."""
    brokers: int = 1
    """The number of nodes of a local Kafka."""
    kafka_port: int = 9092
    """The port of the first broker; each further broker has the next port."""
    edge_port: int = 8080
    view_port: int = 8081
    worker_metrics_port: int = 9464
    """The port of the first worker; each further worker has the next port."""
    registry: bool = False
    """Whether a schema registry runs beside a local Kafka, and gives the ids of the schemas."""
    registry_port: int = 8085
    workers: int = 1
    bucket_s: float = 60.0
    """The length of a rate window of worker and view, in seconds. It must not change while the topics exist."""
    settings_file: Path | None = None
    """The settings file of all commands: the processes take from it what the stack does not set."""


class LocalStack:
    """Kafka, topics, view, workers and edge. `with LocalStack(...) as stack:` starts and stops them.

    `on_event` is called when a process becomes ready, dies or stops; `notify` with a sentence before a step that takes
    long; `on_difference` for each harmless difference of the topics. See Supervisor for `kill_now`.
    """

    def __init__(
        self,
        settings: StackSettings,
        *,
        on_event: Callable[[ServiceEvent], None],
        notify: Callable[[str], None],
        on_difference: Callable[[Difference], None] = lambda _difference: None,
        kill_now: Callable[[], bool] = lambda: False,
    ) -> None:
        self.settings = settings
        self.kafka = settings.kafka
        self.token: str | None = None
        self.edge_url = ""
        self.view_url = ""
        self.registry_url = ""
        """The address of the local schema registry; empty without one."""
        self._codes = settings.data_dir.absolute() / "sign-in"
        self.worker_urls: tuple[str, ...] = ()
        self._notify = notify
        self._on_difference = on_difference
        self._supervisor = Supervisor(settings.data_dir / "logs", on_event, kill_now=kill_now)

    def start(self) -> None:
        """Start everything, and return when every process is ready.

        Raises:
            StackPortTaken: a port is taken, or given to two processes.
            TopicsDiffer: the topics exist and must not be used.
            ProcessStartError: a process did not become ready.
            RegistryFailed: the local schema registry refused a released schema.
            CredentialsUnusable: the file of tokens is invalid.
            ComposeError: the local Kafka could not be installed or started; see LocalKafka.
        """
        settings = self.settings
        edge_port, view_port, registry_port, *worker_ports = _ports(settings)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        tokens = settings.tokens
        if tokens is None:
            local = local_token(settings.data_dir)
            self.token, tokens = local.token, local.tokens_file
        self.edge_url, self.view_url = f"http://{HOST}:{edge_port}", f"http://{HOST}:{view_port}"
        self.worker_urls = tuple(f"http://{HOST}:{port}" for port in worker_ports)
        if not settings.kafka.bootstrap_servers:
            self._start_kafka()
        self._create_topics()
        if settings.registry:
            self._start_registry(registry_port)
        listen = ("--host", HOST, "--tokens", str(tokens.absolute()))
        drain = ("--drain-timeout", str(DRAIN_TIMEOUT_S))
        bucket = ("--bucket", str(settings.bucket_s))
        view = self._command(
            "view", self.view_url, *listen, *bucket, "--port", str(view_port), "--sign-in-codes", str(self._codes)
        )
        workers = [self._worker(number, port, *bucket) for number, port in enumerate(worker_ports, 1)]
        edge = self._command("edge", self.edge_url, *listen, "--port", str(edge_port), *drain)
        self._supervisor.start(view, *workers, edge)  # they are stopped in the opposite order

    def new_sign_in_url(self) -> str | None:
        """The page's address with a new code that signs a browser in once; None with a file of tokens of the user."""
        return None if self.token is None else f"{self.view_url}/#code={SignInCodes(self._codes).issue(self.token)}"

    def poll(self) -> None:
        """Check each process once and restart those that died: for a caller with its own loop instead of `run`."""
        self._supervisor.poll(time.monotonic())

    def run(self) -> Never:
        """Supervise the processes until a KeyboardInterrupt."""
        self._supervisor.run()

    def stop(self) -> None:
        """Stop everything: the edge first, so that it can answer the reports in flight; Kafka last."""
        self._supervisor.stop()

    def pids(self) -> dict[str, int]:
        """The process ids by name: kafka (kafka-1 and so on with several brokers), view, worker-1, edge."""
        return self._supervisor.pids()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_kafka(self) -> None:
        settings = self.settings
        local = LocalCluster(
            settings.data_dir / "kafka",
            brokers=settings.brokers,
            cache_dir=settings.cache_dir,
            port=settings.kafka_port or None,
            notify=self._notify,
        )
        commands = local.prepare()
        self.kafka = KafkaClient(local.bootstrap_servers, settings.kafka.properties)
        services = [
            Service(
                "kafka" if settings.brokers == 1 else f"kafka-{number}",
                tuple(command),
                partial(kafka_answers, local.nodes[number].client, PROBE_TIMEOUT_S),
                ready_timeout_s=KAFKA_READY_S * settings.brokers,
                stop_timeout_s=15.0,
                lock=local.nodes[number].lock_file,
                stops_with="kafka",
            )
            for number, command in commands.items()
        ]
        self._supervisor.start(*services)

    def _start_registry(self, port: int) -> None:
        """Start the registry, and register the released schemas, which keep the ids that they have there."""
        settings = self.settings
        folder = settings.data_dir / "registry"
        jar = install_registry(settings.cache_dir, self._notify)
        clear_temporary_files(folder)
        create_registry_topics(self.kafka.config())
        command = registry_command(jar, folder, port, self.kafka.bootstrap_servers)
        url = registry_url(port)
        is_ready = partial(http_answers, ready_url(port), PROBE_TIMEOUT_S)
        self._supervisor.start(
            Service("registry", tuple(command), is_ready, ready_timeout_s=REGISTRY_READY_S, stop_timeout_s=15.0)
        )
        from taskstream.schemas.registry.registration import register, require_level  # noqa: PLC0415 (half a second, for a registry alone)
        from taskstream.schemas.registry.registry_client import Registry  # noqa: PLC0415 (as above)

        with Registry(url) as registry:
            register(registry, settings.topics)
            require_level(registry, settings.topics, COMPATIBILITY)
        self.registry_url = url

    def _create_topics(self) -> None:
        topics, config = self.settings.topics, self.kafka.config()
        create_topics(config, topics)
        differ = differences(topics, found_topics(config, topics))
        if fatal := [each for each in differ if each.fatal]:
            raise TopicsDiffer(fatal)
        for each in differ:
            self._on_difference(each)

    def _worker(self, number: int, port: int, *options: str) -> Service:
        """A worker with a stable instance name, unique to this folder: a restarted worker fences its predecessor."""
        folder = zlib.crc32(str(self.settings.data_dir.absolute()).encode())
        instance = ("--instance", f"{socket.gethostname()}-{folder:08x}-{number}")
        url = self.worker_urls[number - 1]
        return self._command("worker", url, "--metrics-port", str(port), *instance, *options, name=f"worker-{number}")

    def _command(self, subcommand: str, url: str, *options: str, name: str = "") -> Service:
        file = self.settings.settings_file
        command = (
            *(sys.executable, "-P", "-m", "taskstream"),
            *(("--config", str(file.absolute())) if file else ()),
            subcommand,
            *("--bootstrap-servers", self.kafka.bootstrap_servers, "--prefix", self.settings.topics.prefix),
            *self._kafka_config(),
            *(("--schema-registry", self.registry_url) if self.registry_url else ()),
            *options,
        )
        is_ready = partial(http_answers, f"{url}/readyz", PROBE_TIMEOUT_S)
        return Service(name or subcommand, command, is_ready, ready_timeout_s=PROCESS_READY_S)

    def _kafka_config(self) -> tuple[str, ...]:
        """The option that passes the Kafka properties, in a private file: every user can see command lines."""
        if not self.kafka.properties:
            return ()
        path = (self.settings.data_dir / "kafka.properties").absolute()
        write_properties(path, self.kafka.properties)
        return ("--kafka-config", str(path))


def _ports(settings: StackSettings) -> list[int]:
    """The ports of the edge, the view, the registry and each worker; 0 is replaced by a free port.

    Raises:
        StackPortTaken: a port is taken, or given to two processes.
    """
    requested = [(settings.edge_port, "edge"), (settings.view_port, "view")]
    requested.append((settings.registry_port if settings.registry else 0, "registry"))
    for number in range(settings.workers):
        port = settings.worker_metrics_port
        requested.append((port and port + number, "worker metrics"))
    brokers = 0 if settings.kafka.bootstrap_servers else settings.brokers
    kafka = [(settings.kafka_port and settings.kafka_port + number, "kafka") for number in range(brokers)]
    taken: dict[int, str] = {}
    for port, server in (*kafka, *requested):
        if port and not is_free(port):
            raise StackPortTaken(f"port {port} is taken: another program listens there", server)
        if port in taken:
            raise StackPortTaken(f"port {port} is given to {taken[port]} and to {server}", server)
        if port:
            taken[port] = server
    free = iter(free_ports(len(requested)))
    return [port or next(free) for port, _ in requested]
