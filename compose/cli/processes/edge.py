"""`taskstream edge`: its options, made into settings."""

from __future__ import annotations

import functools
import importlib
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from taskstream.compose.cli.options.caller_options import caller_options
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.logs import log_to_standard_error
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
"""Makes of an edge one that tells what it does to a collector; called after a fork."""
Command = TypeVar("Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)
_LIMIT, _BOUND = Limits(), HttpBounds()
_POSITIVE = click.IntRange(1)
_SECONDS = click.FloatRange(min=0, min_open=True)
_LIMIT_OPTIONS = (
    click.option("--max-body", default=_LIMIT.body_bytes, type=_POSITIVE, help="Bytes of one report."),
    click.option("--max-batch", default=_LIMIT.batch_bytes, type=_POSITIVE, help="Bytes of one batch."),
    click.option("--max-batch-reports", default=_LIMIT.batch_reports, type=_POSITIVE, help="Reports in one batch."),
    click.option("--max-headers", default=_BOUND.header_bytes, type=_POSITIVE, help="Bytes of a request's headers."),
    click.option(
        "--max-in-flight", default=_LIMIT.in_flight, type=_POSITIVE, help="Reports awaiting an ack, of one worker."
    ),
    click.option(
        "--max-queue", default=_LIMIT.queued_events, type=_POSITIVE, help="Events in librdkafka's queue, of one worker."
    ),
    click.option("--max-connections", default=_BOUND.connections, type=_POSITIVE, help="Connections, of one worker."),
    click.option(
        "--rate", default=_LIMIT.reports_per_s, type=float, help="Reports a second a project, of one worker; 0: any."
    ),
    click.option(
        "--burst", default=_LIMIT.reports_burst, type=float, help="Reports that may come at once, of one worker."
    ),
    click.option("--ack-timeout", default=_LIMIT.ack_timeout_s, type=_SECONDS, help="Seconds that Kafka has."),
    click.option("--request-timeout", default=_BOUND.request_s, type=_SECONDS, help="Seconds for a whole request."),
    click.option("--idle-timeout", default=_BOUND.idle_s, type=_SECONDS, help="Seconds between two requests."),
)


def limit_options(command: Command) -> Command:
    """Give the command `limits: Limits` and `bounds: HttpBounds`."""

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
            ack_timeout_s=kwargs.pop("ack_timeout"),
        )
        bounds = HttpBounds(
            header_bytes=kwargs.pop("max_headers"),
            connections=kwargs.pop("max_connections"),
            request_s=kwargs.pop("request_timeout"),
            idle_s=kwargs.pop("idle_timeout"),
        )
        return command(limits=limits, bounds=bounds, **kwargs)

    decorated: Any = with_limits
    for option in reversed(_LIMIT_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators give back what they are given, options added


@click.command()
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--host", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", default=8080, type=click.IntRange(0, 65_535), help="The port to listen on; 0: any free one.")
@caller_options
@click.option("--workers", default=1, type=_POSITIVE, help="Processes, each with a producer and limits of its own.")
@limit_options
@click.option("--drain-delay", default=1.0, type=click.FloatRange(0), help="Seconds of being unready before a stop.")
@click.option("--drain-timeout", default=20, type=_POSITIVE, help="Seconds that a stop may then take.")
@click.option("--tls-cert", type=_FILE, help="A certificate, in PEM with its chain: then HTTPS is spoken.")
@click.option("--tls-key", type=_FILE, help="Its key, in PEM.")
@click.option("--tls-client-ca", type=_FILE, help="Callers must show a certificate of this authority.")
@click.option("--otel-endpoint", help="An OpenTelemetry collector's URL (OTLP over HTTP): then reports are traced.")
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
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    otel_endpoint: str | None,
) -> None:
    """Serve the API that agents report to.

    A report is answered with 200 when Kafka has it, and with an error that says whether to try again when not.
    Exit codes: 0 everything was answered, 1 something was not, or it could not start, 2 wrong usage.
    """
    log_to_standard_error()
    if (tls_cert is None) != (tls_key is None) or (tls_client_ca is not None and tls_cert is None):
        raise click.UsageError("--tls-cert and --tls-key belong together, and --tls-client-ca needs them")
    tls = Tls(tls_cert, tls_key, tls_client_ca) if tls_cert and tls_key else None
    serving = Serving(
        host=host, port=port, drain_delay_s=drain_delay, drain_timeout_s=drain_timeout, bounds=bounds, tls=tls
    )
    settings = EdgeSettings(kafka=kafka, topics=Topics(prefix), ids=ids, callers=callers, limits=limits)
    sys.exit(_run(settings, serving, workers, _tracing(otel_endpoint)))


def _tracing(endpoint: str | None) -> Tracing | None:
    if endpoint is None:
        return None
    try:
        tracing = importlib.import_module("taskstream.compose.server.tracing")
    except ImportError as error:
        raise click.UsageError(f"--otel-endpoint needs the extra: pip install 'taskstream[otel]' ({error})") from error
    return lambda app: tracing.TracedApplication(app, tracing.collector(endpoint))


def _serve(app: Edge, listener: socket.socket, serving: Serving, tracing: Tracing | None) -> int:
    if tracing is None:
        return serve(app, listener, serving, app.drain, app.express)
    return serve(tracing(app), listener, serving, app.drain)  # a report on the short way would have no span


def _run(settings: EdgeSettings, serving: Serving, workers: int, tracing: Tracing | None) -> int:
    app = build_edge(settings)  # also with workers: what is wrong with the settings is told before any starts
    if serving.tls is not None:
        serving.tls.context()
    listener = bind(serving)
    click.echo(f"the edge listens on {address(listener, serving)}", err=True)
    if workers == 1:
        return _serve(app, listener, serving, tracing)
    with tempfile.TemporaryDirectory(prefix="taskstream-edge-") as folder:
        shared = replace(settings, metrics_folder=Path(folder))

        def work(number: int) -> int:
            return _serve(build_edge(shared, number), listener, serving, tracing)

        return run_workers(workers, work, serving.drain_delay_s + serving.drain_timeout_s + 10)
