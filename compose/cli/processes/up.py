"""`taskstream up`: the whole pipeline on one machine, until it is stopped."""

from __future__ import annotations

import time
from pathlib import Path

import click

from taskstream.compose.cli.options.kafka_options import cache_dir_option, optional_kafka_options
from taskstream.compose.cli.options.settings_file import settings_path
from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.compose.cli.options.topic_options import topics_options
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.processes.stack_output import (
    addresses,
    print_difference,
    print_line,
    print_process_event,
)
from taskstream.compose.cli.stop_signals import end_on_signals
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.local_stack import LocalStack, StackSettings
from taskstream.schemas.topics import Topics

_PORT = click.IntRange(0, 65_535)


@click.command()
@optional_kafka_options
@topics_options
@cache_dir_option
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default="data",
    help="The folder for Kafka's data, the token and the logs. A restart continues with what is there.",
)
@click.option(
    "--brokers",
    type=click.IntRange(1, 9),
    default=1,
    help="The number of brokers of the local Kafka. With 3, each topic has three replicas, and the pipeline survives "
    "the loss of one broker. Permanent for a data folder.",
)
@click.option(
    "--kafka-port",
    type=_PORT,
    default=9092,
    help="The port of the local Kafka; each further broker uses the next port. For each port, 0 means a free one.",
)
@click.option(
    "--registry",
    is_flag=True,
    help="Run a schema registry, Apicurio, beside the local Kafka. It keeps the schemas there, and all processes use "
    "its ids.",
)
@click.option("--registry-port", type=_PORT, default=8085, help="The port of that registry.")
@click.option("--edge-port", type=_PORT, default=8080, help="The port of the edge, which receives reports.")
@click.option("--view-port", type=_PORT, default=8081, help="The port of the view, which serves tasks.")
@click.option(
    "--worker-metrics-port",
    type=_PORT,
    default=9464,
    help="The port of the first worker's metrics; each further worker uses the next port.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, help="The number of workers; those beyond --partitions are idle."
)
@click.option(
    "--bucket",
    "bucket_s",
    type=Seconds(0.001),
    default=60.0,
    envvar="TASKSTREAM_BUCKET",
    help="The length of a rate window; short windows suit short copies. Permanent, as --partitions is.",
)
@click.option(
    "--tokens",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file of hashed tokens, see `taskstream tokens add`.  [default: a token made at the first start]",
)
def up(
    *,
    kafka: KafkaClient,
    topics: Topics,
    cache_dir: Path,
    data_dir: Path,
    brokers: int,
    kafka_port: int,
    registry: bool,
    registry_port: int,
    edge_port: int,
    view_port: int,
    worker_metrics_port: int,
    workers: int,
    bucket_s: float,
    tokens: Path | None,
) -> None:
    """Run Kafka, the topics, the edge, workers and the view on this machine.

    With --bootstrap-servers, that Kafka is used and none is started. Each part runs in its own process; one that
    dies is reported and restarted. Ctrl-C stops all in order, a second Ctrl-C stops them at once. Further options of
    the processes can be set in their tables of a settings file (`taskstream --config FILE up`), or in their environment
    variables, such as TASKSTREAM_EDGE_... and TASKSTREAM_WORKER_...
    """
    if registry and kafka.bootstrap_servers:
        raise click.UsageError(
            "--registry runs beside a local Kafka: leave out --bootstrap-servers, or name a registry of that Kafka in "
            "the environment variable TASKSTREAM_SCHEMA_REGISTRY"
        )
    settings = StackSettings(
        data_dir=data_dir,
        cache_dir=cache_dir,
        kafka=kafka,
        topics=topics,
        tokens=tokens,
        brokers=brokers,
        kafka_port=kafka_port,
        registry=registry,
        registry_port=registry_port,
        edge_port=edge_port,
        view_port=view_port,
        worker_metrics_port=worker_metrics_port,
        workers=workers,
        bucket_s=bucket_s,
        settings_file=settings_path(),
    )
    if kafka.bootstrap_servers:
        source = "--bootstrap-servers or TASKSTREAM_BOOTSTRAP_SERVERS"
        print_line(f"using Kafka at {kafka.bootstrap_servers}, as set by {source}; no local Kafka is started")
    began_s = time.monotonic()
    with (
        end_on_signals() as kill_now,
        LocalStack(
            settings, on_event=print_process_event, notify=print_line, on_difference=print_difference, kill_now=kill_now
        ) as stack,
    ):
        print_line(f"taskstream is up after {time.monotonic() - began_s:.1f} s; Ctrl-C stops it")
        echo(addresses(stack))
        stack.run()
