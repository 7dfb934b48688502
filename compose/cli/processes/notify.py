"""`taskstream notify`: the process that tells receivers of signals. File and options become settings here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from taskstream.compose.cli.command_clock import command_clock
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.logs import (
    announce,
    log_format_option,
    log_to_standard_error,
    show_threads_on_signal,
)
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.processes.worker import listening
from taskstream.compose.cli.stop_signals import stop_event
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.notify_config import read_notify_config
from taskstream.consumer.notify.metrics import NotifyMetrics
from taskstream.consumer.notify.notifier import run_notifier
from taskstream.consumer.worker.metrics import WorkerMetricsServer
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics


@click.command()
@click.option(
    "--config",
    "config",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Receivers, routes and quiet hours, in TOML; see docs/notify.md.",
)
@click.option("--check", is_flag=True, help="Check the file, and end.")
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--group", help="The notifiers' consumer group.  [default: PREFIX.notify]")
@click.option(
    "--from",
    "start",
    type=click.Choice(["latest", "earliest"]),
    default="latest",
    help="Where a group without offsets begins: after the signals that there are, or with the first of them.",
)
@click.option(
    "--bucket",
    "bucket_s",
    default=60.0,
    type=click.FloatRange(min=0.001),
    envvar="TASKSTREAM_BUCKET",
    help="Seconds per rate window, as set for the workers.",
)
@click.option("--metrics-host", default="127.0.0.1", help="The address that serves /metrics, /healthz and /readyz.")
@click.option(
    "--metrics-port", default=9465, type=click.IntRange(0, 65_535), help="The port of that address; 0: a free port."
)
@log_format_option
def notify(
    *,
    config: Path,
    check: bool,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
    group: str | None,
    start: str,
    bucket_s: float,
    metrics_host: str,
    metrics_port: int,
    log_format: str,
) -> None:
    """Tell an Alertmanager or a webhook of signals, at least once.

    Alerts are grouped by project and kind, limited in rate, and held in quiet hours. What is not delivered in time goes
    to the dead-letter file. Notifiers of one group share the partitions. Exit codes: 0 stopped, 1 an error that needs
    attention, 2 wrong usage, 70 a call to Kafka did not return (start the notifier again).
    """
    settings = read_notify_config(
        config,
        topic=Topics(prefix).signals.name,
        group=group or f"{prefix}.notify",
        bucket_us=round(bucket_s * 1_000_000),
        from_earliest=start == "earliest",
    )
    settings = replace(settings, notes_topic=Topics(prefix).notes.name)
    if check:
        echo(f"{config}: {len(settings.receivers)} receivers, {len(settings.routes)} routes")
        return
    log_to_standard_error(log_format, "notify")
    show_threads_on_signal()
    metrics = NotifyMetrics(settings.receivers)
    clock = command_clock()
    with stop_event() as stop, listening(WorkerMetricsServer(metrics, metrics_host, metrics_port)) as url:
        announce(f"notify: metrics at {url}/metrics", "listening", url=url)
        run_notifier(kafka.config(), ids, settings, metrics, stop.is_set, lambda: clock.now_us() / 1_000_000)
