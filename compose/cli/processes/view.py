"""`taskstream view`: its options, made into settings."""

from __future__ import annotations

import sys

import click

from taskstream.compose.cli.command_clock import command_clock
from taskstream.compose.cli.options.caller_options import caller_options
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.logs import log_to_standard_error
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.server.callers import CallerSettings
from taskstream.compose.server.serve import Serving, address, bind, serve
from taskstream.compose.server.view import ViewSettings, build_view
from taskstream.consumer.state.series_table import Settings
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics


@click.command()
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--host", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", default=8081, type=click.IntRange(0, 65_535), help="The port to listen on; 0: any free one.")
@caller_options
@click.option(
    "--bucket",
    default=60.0,
    type=click.FloatRange(min=0.001),
    envvar="TASKSTREAM_BUCKET",
    help="Seconds in a 'minute' of the rates; the same as the worker's.",
)
@click.option("--drain-timeout", default=1, type=click.IntRange(1), help="Seconds that a stop may take.")
def view(
    *,
    kafka: KafkaClient,
    prefix: str,
    ids: SchemaIds,
    host: str,
    port: int,
    callers: CallerSettings,
    bucket: float,
    drain_timeout: int,
) -> None:
    """Serve what is known of every migration.

    It reads the state topic from its beginning into memory, and the signals of the last week, the last 50 of a task;
    it follows both. Nothing is stored, any number may run.
    The role `read` sees its own project, `operate` sees all.
    """
    log_to_standard_error()
    serving = Serving(host=host, port=port, drain_timeout_s=drain_timeout)
    app = build_view(ViewSettings(kafka, Topics(prefix), ids, callers, Settings(bucket)), command_clock().now_us)
    listener = bind(serving)
    click.echo(f"the view listens on {address(listener)}", err=True)
    sys.exit(serve(app, listener, serving, app.drain))
