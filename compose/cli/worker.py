"""`taskstream worker`: its options made into settings, its signals into a wish to stop."""

from __future__ import annotations

import signal
import socket
import sys
import threading

import click

from compose.cli.options import kafka_options
from compose.cli.registry_option import schema_ids_option
from compose.cli.topic_options import prefix_option
from compose.librdkafka import KafkaClient
from consumer.errors import ConsumerError
from consumer.instruments import Instruments, InstrumentsServer
from consumer.table import Settings
from consumer.worker import Worker, WorkerSettings
from schemas.errors import SchemasError
from schemas.ids import SchemaIds
from schemas.topics import Topics


@click.command()
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--group", help="The workers' consumer group.  [default: PREFIX.worker]")
@click.option("--instance", help="This worker's stable name within the group.  [default: HOST-PID]")
@click.option("--bucket", "bucket_s", default=60.0, help="Seconds of a 'minute'; the same for all, for life.")
@click.option("--eta-part", default=0.25, help="An ETA is told again when it moved by this part.")
@click.option("--commit-interval", "commit_interval_s", default=0.25, help="Seconds between commits.")
@click.option("--keep", "keep_days", default=7.0, help="Days after which an unheard series is dropped.")
@click.option("--reject-share", default=0.5, help="Stop when more than this share cannot be read.")
@click.option("--metrics-host", default="127.0.0.1", help="Where /metrics, /healthz and /readyz listen.")
@click.option("--metrics-port", default=9464, help="0: any free one.")
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

    Run as many as there are partitions at the most; they share the work by their group. Exit codes: 0 stopped,
    1 an error that a person should read, 70 a call into Kafka hung (start it again).
    """
    settings = WorkerSettings(
        topics=Topics(prefix),
        group=group or f"{prefix}.worker",
        instance=instance or f"{socket.gethostname()}-{threading.get_native_id()}",
        fold=Settings(bucket_s, eta_part),
        commit_interval_s=commit_interval_s,
        keep_s=keep_days * 86_400,
        reject_share=reject_share,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    instruments = Instruments()
    try:
        with InstrumentsServer(instruments, metrics_host, metrics_port) as server:
            click.echo(f"worker {settings.instance}: metrics at http://{metrics_host}:{server.port}/metrics", err=True)
            Worker(kafka.config(), ids, settings, instruments).run(stop.is_set)
    except OSError as error:
        raise click.ClickException(
            f"port {metrics_port} of {metrics_host} (--metrics-port): {error.strerror}"
        ) from error
    except (ConsumerError, SchemasError) as error:
        click.echo(f"taskstream worker: {error}", err=True)
        sys.exit(1)
