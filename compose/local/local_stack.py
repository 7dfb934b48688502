"""taskstream on one machine: which processes it is made of, with which options, ready when.

It knows the command lines of the other commands; it must not know how processes are kept.
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
from taskstream.compose.local.kept_service import Happening, Service
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.local.local_token import local_token
from taskstream.compose.local.ports import free_ports, is_free
from taskstream.compose.local.readiness import http_answers, kafka_answers
from taskstream.compose.local.supervisor import Supervisor
from taskstream.compose.topic_admin import create_topics, found_topics
from taskstream.schemas.topics import Difference, Topics, differences

HOST = "127.0.0.1"
PROBE_TIMEOUT_S = 1.0
DRAIN_TIMEOUT_S = 5
OUR_OWN = KafkaClient("")


@dataclass(frozen=True)
class StackSettings:
    """What a stack is made of. A port of 0 is a free one; `kafka` without brokers is a Kafka of our own."""

    data_dir: Path
    cache_dir: Path
    kafka: KafkaClient = OUR_OWN
    topics: Topics = field(default_factory=Topics)
    tokens: Path | None = None
    """Who may call; None: one token is made, and kept in the data folder."""
    kafka_port: int = 9092
    edge_port: int = 8080
    view_port: int = 8081
    worker_metrics_port: int = 9464
    """Of the first worker; the next has the next one."""
    workers: int = 1
    bucket_s: float = 60.0
    """What worker and view take for a minute; for the life of the topics."""


class LocalStack:
    """Kafka, topics, view, workers and edge. `with LocalStack(...) as stack:` they are up; after it they are not.

    `tell` hears what happens to processes, `notify` what takes long; see Supervisor for `hurry`.
    """

    def __init__(
        self,
        settings: StackSettings,
        *,
        tell: Callable[[Happening], None],
        notify: Callable[[str], None],
        on_difference: Callable[[Difference], None] = lambda _difference: None,
        hurry: Callable[[], bool] = lambda: False,
    ) -> None:
        self.settings = settings
        self.kafka = settings.kafka
        self.token: str | None = None
        self.edge_url = ""
        self.view_url = ""
        self.worker_urls: tuple[str, ...] = ()
        self._notify = notify
        self._on_difference = on_difference
        self._supervisor = Supervisor(settings.data_dir / "logs", tell, hurry=hurry)

    def start(self) -> None:
        """Bring everything up.

        Raises ComposeError of many kinds, and CredentialsUnusable for a bad file of tokens.
        """
        settings = self.settings
        edge_port, view_port, *worker_ports = _ports(settings)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        tokens = settings.tokens
        if tokens is None:
            made = local_token(settings.data_dir)
            self.token, tokens = made.token, made.tokens_file
        self.edge_url, self.view_url = f"http://{HOST}:{edge_port}", f"http://{HOST}:{view_port}"
        self.worker_urls = tuple(f"http://{HOST}:{port}" for port in worker_ports)
        if not settings.kafka.bootstrap_servers:
            self._start_kafka()
        self._create_topics()
        listen = ("--host", HOST, "--tokens", str(tokens.absolute()))
        drain = ("--drain-timeout", str(DRAIN_TIMEOUT_S))
        bucket = ("--bucket", str(settings.bucket_s))
        view = self._command("view", self.view_url, *listen, *bucket, "--port", str(view_port))
        workers = [self._worker(number, port, *bucket) for number, port in enumerate(worker_ports, 1)]
        edge = self._command("edge", self.edge_url, *listen, "--port", str(edge_port), *drain)
        self._supervisor.start(view, *workers, edge)  # stopped from the last to the first

    def look(self) -> None:
        """Look at each process once, and start again what died: for who has something else to do meanwhile."""
        self._supervisor.look(time.monotonic())

    def run(self) -> Never:
        """Keep everything up; a KeyboardInterrupt is the way out."""
        self._supervisor.run()

    def stop(self) -> None:
        """Stop everything: the edge first, so that agents are refused cleanly; Kafka last."""
        self._supervisor.stop()

    def pids(self) -> dict[str, int]:
        """The process ids by name: kafka, view, worker-1, edge."""
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
        local = LocalKafka(
            settings.data_dir / "kafka",
            cache_dir=settings.cache_dir,
            port=settings.kafka_port or None,
            notify=self._notify,
        )
        command = local.prepare()
        self.kafka = KafkaClient(local.bootstrap_servers, settings.kafka.properties)
        is_ready = partial(kafka_answers, local.client, PROBE_TIMEOUT_S)
        self._supervisor.start(Service("kafka", tuple(command), is_ready, stop_timeout_s=15.0, lock=local.lock_file))

    def _create_topics(self) -> None:
        topics, config = self.settings.topics, self.kafka.config()
        create_topics(config, topics)
        differ = differences(topics, found_topics(config, topics))
        if fatal := [each for each in differ if each.fatal]:
            raise TopicsDiffer(fatal)
        for each in differ:
            self._on_difference(each)

    def _worker(self, number: int, port: int, *options: str) -> Service:
        """Who starts again under an instance's name takes over at once; the name is this folder's alone."""
        folder = zlib.crc32(str(self.settings.data_dir.absolute()).encode())
        instance = ("--instance", f"{socket.gethostname()}-{folder:08x}-{number}")
        url = self.worker_urls[number - 1]
        return self._command("worker", url, "--metrics-port", str(port), *instance, *options, name=f"worker-{number}")

    def _command(self, noun: str, url: str, *options: str, name: str = "") -> Service:
        command = (
            *(sys.executable, "-P", "-m", "taskstream", noun),
            *("--bootstrap-servers", self.kafka.bootstrap_servers, "--prefix", self.settings.topics.prefix),
            *self._kafka_config(),
            *options,
        )
        return Service(name or noun, command, partial(http_answers, f"{url}/readyz", PROBE_TIMEOUT_S))

    def _kafka_config(self) -> tuple[str, ...]:
        """Settings go through a file of their owner's: a command line is seen by everybody."""
        if not self.kafka.properties:
            return ()
        path = (self.settings.data_dir / "kafka.properties").absolute()
        write_properties(path, self.kafka.properties)
        return ("--kafka-config", str(path))


def _ports(settings: StackSettings) -> list[int]:
    """Those of the edge, the view and each worker: as asked for, or free ones. Raises StackPortTaken."""
    asked = [(settings.edge_port, "edge"), (settings.view_port, "view")]
    for number in range(settings.workers):
        port = settings.worker_metrics_port
        asked.append((port and port + number, "worker metrics"))
    ours = [] if settings.kafka.bootstrap_servers else [(settings.kafka_port, "kafka")]
    taken: dict[int, str] = {}
    for port, server in (*ours, *asked):
        if port and not is_free(port):
            raise StackPortTaken(f"port {port} is taken: another program listens there", server)
        if port in taken:
            raise StackPortTaken(f"port {port} is given to {taken[port]} and to {server}", server)
        if port:
            taken[port] = server
    free = iter(free_ports(len(asked)))
    return [port or next(free) for port, _ in asked]
