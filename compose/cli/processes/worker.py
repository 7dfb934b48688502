"""`taskstream worker`: turns options into settings, and SIGTERM and SIGINT into a stop."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Iterator

import click

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.logs import log_to_standard_error
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.errors import ConsumerError, InstanceFenced, TooManyRejected
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.worker.kafka_worker import run_worker
from taskstream.consumer.worker.metrics import WorkerMetrics, WorkerMetricsServer
from taskstream.consumer.worker.settings import WorkerSettings
from taskstream.schemas.errors import SchemasError
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_SECONDS = click.FloatRange(min=0, min_open=True)
_PART = click.FloatRange(min=0, min_open=True)
_REMEDIES: dict[type[Exception], str] = {
    InstanceFenced: "do not start two workers with the same --instance",
    TooManyRejected: "correct the deployment and start again, or pass --reject-share 1 to send all of them to the "
    "rejected topic",
}
"""What to type after an error of the library, which knows no options."""


@click.command()
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--group", help="The workers' consumer group.  [default: PREFIX.worker]")
@click.option(
    "--instance",
    help="This worker's name within the group, the same at every start: it gets its partitions back when it restarts, "
    "and the group waits for it.  [default: a new one each time]",
)
@click.option(
    "--bucket",
    "bucket_s",
    default=60.0,
    type=click.FloatRange(min=0.001),
    envvar="TASKSTREAM_BUCKET",
    help="Seconds of a 'minute'; the same for all workers, for the life of the topics.",
)
@click.option("--eta-part", default=0.25, type=_PART, help="An ETA is signalled again when it moves by this part.")
@click.option("--commit-interval", "commit_interval_s", default=0.25, type=_SECONDS, help="Seconds between commits.")
@click.option(
    "--keep", "keep_days", default=7.0, type=_SECONDS, help="Days without reports after which a series is dropped."
)
@click.option(
    "--reject-share",
    default=0.5,
    type=click.FloatRange(0, 1),
    help="Stop when more than this share of the records cannot be read; 1: never, send all to the rejected topic.",
)
@click.option("--metrics-host", default="127.0.0.1", help="Where /metrics, /healthz and /readyz listen.")
@click.option("--metrics-port", default=9464, type=click.IntRange(0, 65_535), help="0: any free one.")
def worker(
    kafka: KafkaClient,
    prefix: str,
    ids: SchemaIds,
    group: str | None,
    instance: str | None,
    bucket_s: float,
    eta_part: float,
    commit_interval_s: float,
    keep_days: float,
    reject_share: float,
    metrics_host: str,
    metrics_port: int,
) -> None:
    """Fold the stream of reports into state, closed minutes and signals, exactly once.

    Run up to one per partition; the group shares the partitions between them. Exit codes: 0 stopped, 1 an error that
    needs a person, 70 a call to Kafka did not return (start it again).
    """
    log_to_standard_error()
    settings = WorkerSettings(
        topics=Topics(prefix),
        group=group or f"{prefix}.worker",
        instance=instance or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        static=instance is not None,
        fold=Settings(bucket_s, eta_part),
        commit_interval_s=commit_interval_s,
        keep_s=keep_days * 86_400,
        reject_share=reject_share,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics = WorkerMetrics()
    try:
        with _listening(WorkerMetricsServer(metrics, metrics_host, metrics_port)) as port:
            click.echo(f"worker {settings.instance}: metrics at http://{metrics_host}:{port}/metrics", err=True)
            run_worker(kafka.config(), ids, settings, metrics, stop.is_set)
    except (ConsumerError, SchemasError) as error:
        remedy = _REMEDIES.get(type(error))
        click.echo(f"taskstream worker: {error}{f': {remedy}' if remedy else ''}", err=True)
        sys.exit(1)


@contextlib.contextmanager
def _listening(server: WorkerMetricsServer) -> Iterator[int]:
    """The port of the server while it is open."""
    with contextlib.ExitStack() as open_parts:
        try:
            open_parts.enter_context(server)
        except OSError as error:
            where = f"{server.host} port {server.port}"
            raise click.ClickException(
                f"{where}: {error.strerror}: choose another --metrics-port (0: a free one) or --metrics-host"
            ) from error
        yield server.port
