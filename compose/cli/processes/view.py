"""`taskstream view`: the server of the tasks. The options become settings of the server here."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from taskstream.compose.cli.command_clock import command_clock
from taskstream.compose.cli.options.authentication_options import authentication_options
from taskstream.compose.cli.options.connection_options import connection_options
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.oidc_options import oidc_options
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.compose.cli.options.tls_options import tls_options
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.logs import (
    announce,
    log_format_option,
    log_to_standard_error,
    show_threads_on_signal,
)
from taskstream.compose.cli.processes.task_context_options import task_context_options
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.server.bounded_http import HttpBounds
from taskstream.compose.server.callers import CallerSettings
from taskstream.compose.server.serve import Serving, Tls, address, bind, serve
from taskstream.compose.server.view import BEHIND_LIMIT_S, ViewSettings, build_view
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.task_context.task_context import TaskContext
from taskstream.consumer.view.http.sse_response import MOST_LISTENERS, PER_PROJECT
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

if TYPE_CHECKING:
    from taskstream.compose.server.oidc import OidcSettings


@click.command()
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--host", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", default=8081, type=click.IntRange(0, 65_535), help="The port to listen on; 0: a free port.")
@authentication_options
@connection_options
@tls_options
@click.option(
    "--bucket",
    default=60.0,
    type=Seconds(0.001),
    envvar="TASKSTREAM_BUCKET",
    help="The length of a rate window, as set for the workers.",
)
@click.option(
    "--group",
    help="The workers' consumer group. The view reads its committed offsets (ACL: DESCRIBE) and does not join it.  "
    "[default: PREFIX.worker]",
)
@click.option(
    "--behind-limit",
    "behind_limit_s",
    default=BEHIND_LIMIT_S,
    type=Seconds(),
    help="The time that the workers may be behind the reports before the view says so. Health is as of the first "
    "report that they have not read.",
)
@task_context_options
@click.option(
    "--sign-in-codes",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="A folder of codes that sign a browser in once, as `taskstream up` makes them.",
)
@oidc_options
@click.option(
    "--streams-per-project",
    default=PER_PROJECT,
    type=click.IntRange(1, MOST_LISTENERS),
    help=f"Open event streams of one project, of the {MOST_LISTENERS} of all.",
)
@click.option(
    "--drain-timeout",
    default=1,
    type=click.IntRange(1),
    help="Seconds that requests in progress have to complete when the view stops.",
)
@log_format_option
def view(
    *,
    kafka: KafkaClient,
    prefix: str,
    ids: SchemaIds,
    host: str,
    port: int,
    callers: CallerSettings,
    bounds: HttpBounds,
    tls: Tls | None,
    bucket: float,
    group: str | None,
    behind_limit_s: float,
    context: TaskContext,
    sign_in_codes: Path | None,
    oidc: OidcSettings | None,
    streams_per_project: int,
    drain_timeout: int,
    log_format: str,
) -> None:
    """Serve the state of every migration: an HTTP API and a web page.

    The view reads the state topic into memory, with the signals of the last week (at most 50 per task), and follows
    both. It stores nothing on disk; any number of views can run. The role read sees its own project, the role operate
    sees all projects.
    """
    log_to_standard_error(log_format, "view")
    show_threads_on_signal()
    callers = replace(callers, behind_proxy=bounds.connections_per_address == 0)
    serving = Serving(host=host, port=port, drain_timeout_s=drain_timeout, bounds=bounds, tls=tls)
    settings = ViewSettings(
        kafka,
        Topics(prefix),
        ids,
        callers,
        Settings(bucket),
        group,
        streams_per_project,
        behind_limit_s,
        context,
        sign_in_codes,
        oidc,
    )
    app = build_view(settings, command_clock().now_us)
    if tls is not None:
        tls.context()
    listener = bind(serving)
    gc.freeze()  # what is loaded now stays: a collection while requests wait need not look into it
    url = address(listener, serving)
    announce(f"the view listens on {url}", "listening", url=url)
    sys.exit(serve(app, listener, serving, app.drain))
