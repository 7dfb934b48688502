"""`taskstream worker`: the process that folds reports into state. The options become settings of the worker here."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Iterator

import click
import structlog

from taskstream.compose.cli.options.fold_options import tasks_option
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.options.tracing_options import otel_option, tracing_module
from taskstream.compose.cli.output.logs import (
    announce,
    log_format_option,
    log_to_standard_error,
    show_threads_on_signal,
)
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.worker.jit_warmup import warm_up_jit
from taskstream.consumer.worker.metrics import WorkerMetrics, WorkerMetricsServer
from taskstream.consumer.worker.run_worker import run_worker
from taskstream.consumer.worker.settings import WorkerSettings
from taskstream.consumer.worker.unit_of_work import CommitTrace
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_log = structlog.get_logger("worker")
_DAYS = click.FloatRange(min=0, min_open=True)
_FRACTION = click.FloatRange(min=0, min_open=True)


@click.command()
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--group", help="The workers' consumer group.  [default: PREFIX.worker]")
@click.option(
    "--instance",
    help="A name of this worker that stays the same across restarts: a worker that starts again ends at once the "
    "transaction that it had open when it was killed.  [default: a new name at each start]",
)
@click.option(
    "--bucket",
    "bucket_s",
    default=60.0,
    type=Seconds(0.001),
    envvar="TASKSTREAM_BUCKET",
    help="The length of a rate window. Permanent, and the same for all workers and views.",
)
@click.option("--eta-part", default=0.33, type=_FRACTION, help="Publish an ETA again when it changes by this fraction.")
@tasks_option
@click.option(
    "--commit-interval",
    "commit_interval_s",
    default=0.33,
    type=Seconds(may_be_least=False),
    help="The time between commits.",
)
@click.option(
    "--keep", "keep_days", default=7.0, type=_DAYS, help="Days without a report after which a series expires."
)
@click.option(
    "--reject-share",
    default=0.5,
    type=click.FloatRange(0, 1),
    help="Stop when more than this share of the records cannot be read. 1: never stop.",
)
@click.option(
    "--state-headers",
    is_flag=True,
    help="Write the headers of CloudEvents on state records too, as on signals and rates; costs a fifth more CPU.",
)
@click.option(
    "--direct/--no-direct",
    default=True,
    help="Read and write librdkafka's messages as arrays where its version was tested with it; or always as objects.",
)
@click.option("--metrics-host", default="127.0.0.1", help="The address that serves /metrics, /healthz and /readyz.")
@click.option(
    "--metrics-port", default=9464, type=click.IntRange(0, 65_535), help="The port of that address; 0: a free port."
)
@log_format_option
@otel_option
def worker(
    kafka: KafkaClient,
    prefix: str,
    ids: SchemaIds,
    group: str | None,
    instance: str | None,
    bucket_s: float,
    eta_part: float,
    tasks_per_project: int,
    commit_interval_s: float,
    keep_days: float,
    reject_share: float,
    state_headers: bool,
    direct: bool,
    metrics_host: str,
    metrics_port: int,
    log_format: str,
    otel_endpoint: str | None,
) -> None:
    """Fold the reports into state, rate windows and signals, exactly once.

    Workers of one consumer group share the partitions; more workers than partitions are idle. Exit codes: 0 stopped,
    1 an error that needs attention, 2 wrong usage, 70 a call to Kafka did not return (start the worker again).
    """
    log_to_standard_error(log_format, "worker")
    show_threads_on_signal()
    settings = WorkerSettings(
        topics=Topics(prefix),
        group=group or f"{prefix}.worker",
        instance=instance or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        fold=Settings(bucket_s, eta_part, tasks_per_project),
        commit_interval_s=commit_interval_s,
        keep_s=keep_days * 86_400,
        reject_share=reject_share,
        state_headers=state_headers,
        direct=direct,
    )
    stop = _StopRequest()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.request())
    metrics = WorkerMetrics()
    with listening(WorkerMetricsServer(metrics, metrics_host, metrics_port)) as url:
        announce(
            f"worker {settings.instance}: metrics at {url}/metrics", "listening", url=url, instance=settings.instance
        )
        with _tracing(otel_endpoint, settings) as trace:
            run_worker(kafka.config(), ids, settings, metrics, stop.is_requested, trace=trace, load=stop.load)


class _StopRequest:
    """Whether the worker is to stop. A request at its start ends the process.

    Until the compiled loops are loaded, nothing is open that must be closed: it waits for Kafka's answers to its
    checks, a minute and more where no broker answers, and compiles, which takes as long.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._is_starting = True

    def is_requested(self) -> bool:
        """Whether there was a request."""
        return self._event.is_set()

    def request(self) -> None:
        """From a signal handler."""
        self._event.set()
        if self._is_starting:
            _log.info("stopped_at_start", why="asked to stop before anything was open; what is compiled is kept")
            sys.stdout.flush()
            sys.stderr.flush()
            # LLVM runs signal handlers in callbacks that lose an exception.
            os._exit(0)

    def load(self, ids: SchemaIds) -> None:
        """Load the compiled loops, or compile them; that ends the start."""
        warm_up_jit(ids)
        self._is_starting = False


@contextlib.contextmanager
def _tracing(endpoint: str | None, settings: WorkerSettings) -> Iterator[CommitTrace | None]:
    if endpoint is None:
        yield None
        return
    exporter = tracing_module("tracing").collector(endpoint)
    with contextlib.closing(tracing_module("commit_tracing").CommitTracing(exporter, settings)) as trace:
        yield trace


@contextlib.contextmanager
def listening(server: WorkerMetricsServer) -> Iterator[str]:
    """Open the server and yield its address."""
    with contextlib.ExitStack() as open_parts:
        try:
            open_parts.enter_context(server)
        except OSError as error:
            where = f"{server.host} port {server.port}"
            raise click.ClickException(
                f"{where}: {error.strerror}: choose another --metrics-port (0: a free port) or --metrics-host"
            ) from error
        yield server.url
