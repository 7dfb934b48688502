"""`taskstream edge`: the server that receives reports. The options become settings of the server here."""

from __future__ import annotations

import functools
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from taskstream.compose.cli.command_clock import command_clock
from taskstream.compose.cli.options.authentication_options import authentication_options
from taskstream.compose.cli.options.connection_options import connection_options
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.compose.cli.options.tls_options import tls_options
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.options.tracing_options import otel_option, tracing_module
from taskstream.compose.cli.output.logs import (
    announce,
    log_format_option,
    log_to_standard_error,
    show_threads_on_signal,
)
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.server.bounded_http import HttpBounds
from taskstream.compose.server.callers import CallerSettings
from taskstream.compose.server.edge import EdgeSettings, build_edge
from taskstream.compose.server.serve import Serving, Tls, address, bind, serve
from taskstream.compose.server.server_processes import run_workers
from taskstream.producer.admission.limits import Limits
from taskstream.producer.http.application import Edge
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

Tracing = Callable[[Edge], Any]
"""Wraps an edge in tracing; called after a fork, because the exporter has a thread."""
Command = TypeVar("Command", bound=Callable[..., Any])
_LIMIT = Limits()
_POSITIVE = click.IntRange(1)
_SECONDS = Seconds(may_be_least=False)
_LIMIT_OPTIONS = (
    click.option("--max-body", default=_LIMIT.body_bytes, type=_POSITIVE, help="Maximum bytes per report."),
    click.option("--max-batch", default=_LIMIT.batch_bytes, type=_POSITIVE, help="Maximum bytes per batch."),
    click.option(
        "--max-batch-reports", default=_LIMIT.batch_reports, type=_POSITIVE, help="Maximum reports per batch."
    ),
    click.option(
        "--max-in-flight",
        default=_LIMIT.in_flight,
        type=_POSITIVE,
        help="Maximum reports that await an ack from Kafka, per process.",
    ),
    click.option(
        "--max-queue",
        default=_LIMIT.queued_events,
        type=_POSITIVE,
        help="Maximum events in librdkafka's queue, per process.",
    ),
    click.option(
        "--rate",
        default=_LIMIT.reports_per_s,
        type=float,
        help="Reports per second and project, per process; 0: unlimited.",
    ),
    click.option(
        "--burst",
        default=_LIMIT.reports_burst,
        type=float,
        help="Reports of a project above the rate that are accepted at once, per process.",
    ),
    click.option(
        "--tasks-per-project",
        default=_LIMIT.tasks_per_project,
        type=click.IntRange(0),
        envvar="TASKSTREAM_TASKS_PER_PROJECT",
        help="Maximum live tasks of a project, per process; 0: unlimited. The workers have the same option.",
    ),
    click.option(
        "--ack-timeout", default=_LIMIT.ack_timeout_s, type=_SECONDS, help="The time to wait for an ack from Kafka."
    ),
)


def limit_options(command: Command) -> Command:
    """Give the command `limits: Limits`."""

    @functools.wraps(command)
    def with_limits(**kwargs: Any) -> Any:
        limits = Limits(
            body_bytes=kwargs.pop("max_body"),
            batch_bytes=kwargs.pop("max_batch"),
            batch_reports=kwargs.pop("max_batch_reports"),
            in_flight=kwargs.pop("max_in_flight"),
            queued_events=kwargs.pop("max_queue"),
            reports_per_s=kwargs.pop("rate"),
            reports_burst=kwargs.pop("burst"),
            tasks_per_project=kwargs.pop("tasks_per_project"),
            ack_timeout_s=kwargs.pop("ack_timeout"),
        )
        return command(limits=limits, **kwargs)

    decorated: Any = with_limits
    for option in reversed(_LIMIT_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added


@click.command()
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--host", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", default=8080, type=click.IntRange(0, 65_535), help="The port to listen on; 0: a free port.")
@authentication_options
@click.option(
    "--workers", default=1, type=_POSITIVE, help="The number of processes, each with its own producer and limits."
)
@limit_options
@connection_options
@click.option(
    "--drain-delay",
    default=1.0,
    type=Seconds(),
    help="The time to report unready and still accept connections before a stop.",
)
@click.option(
    "--drain-timeout", default=20, type=_POSITIVE, help="Seconds that requests in progress then have to complete."
)
@tls_options
@otel_option
@log_format_option
def edge(
    *,
    kafka: KafkaClient,
    prefix: str,
    ids: SchemaIds,
    host: str,
    port: int,
    callers: CallerSettings,
    workers: int,
    limits: Limits,
    bounds: HttpBounds,
    drain_delay: float,
    drain_timeout: int,
    tls: Tls | None,
    otel_endpoint: str | None,
    log_format: str,
) -> None:
    """Serve the API that receives progress reports.

    The response to a report is 200 after Kafka has acknowledged it, and otherwise an error that says whether to
    retry. Exit codes: 0 every request got a response, 1 some did not or the edge could not start, 2 wrong usage.
    """
    log_to_standard_error(log_format, "edge")
    show_threads_on_signal()
    callers = replace(callers, behind_proxy=bounds.connections_per_address == 0)
    serving = Serving(
        host=host, port=port, drain_delay_s=drain_delay, drain_timeout_s=drain_timeout, bounds=bounds, tls=tls
    )
    settings = EdgeSettings(kafka=kafka, topics=Topics(prefix), ids=ids, callers=callers, limits=limits)
    build = functools.partial(build_edge, clock_us=command_clock().now_us)
    sys.exit(_run(build, settings, serving, workers, _tracing(otel_endpoint)))


def _tracing(endpoint: str | None) -> Tracing | None:
    if endpoint is None:
        return None
    tracing = tracing_module("tracing")
    return lambda app: tracing.TracedApplication(app, tracing.collector(endpoint))


def _serve(app: Edge, listener: socket.socket, serving: Serving, tracing: Tracing | None) -> int:
    if tracing is None:
        return serve(app, listener, serving, app.drain, app.express)
    return serve(tracing(app), listener, serving, app.drain)  # the express path has no spans


def _run(
    build: Callable[..., Edge], settings: EdgeSettings, serving: Serving, workers: int, tracing: Tracing | None
) -> int:
    app = build(settings)  # also with several processes: wrong settings are reported before any starts
    if serving.tls is not None:
        serving.tls.context()
    listener = bind(serving)
    url = address(listener, serving)
    announce(f"the edge listens on {url}", "listening", url=url)
    if workers == 1:
        return _serve(app, listener, serving, tracing)
    with tempfile.TemporaryDirectory(prefix="taskstream-edge-") as folder:
        shared = replace(settings, metrics_folder=Path(folder))

        def work(number: int) -> int:
            return _serve(build(shared, number), listener, serving, tracing)

        return run_workers(workers, work, serving.drain_delay_s + serving.drain_timeout_s + 10)
