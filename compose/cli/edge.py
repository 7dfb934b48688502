"""`taskstream edge`: its options, made into settings."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from compose.cli.options import kafka_options
from compose.edge import EdgeSettings, build_edge
from compose.errors import ComposeError
from compose.librdkafka import KafkaClient
from compose.serve import Serving, address, bind, serve
from producer.errors import ProducerError
from schemas.errors import SchemasError
from schemas.ids import TableIds
from schemas.topics import Topics


@click.command()
@kafka_options
@click.option("--prefix", default="taskstream", help="The topics' prefix.", envvar="TASKSTREAM_PREFIX")
@click.option("--host", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", default=8080, type=click.IntRange(0, 65_535), help="The port to listen on; 0: any free one.")
@click.option(
    "--tokens",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file of hashed tokens; `taskstream tokens add` writes it. Read again when it changes.",
)
@click.option("--drain-timeout", default=20, type=click.IntRange(1), help="Seconds that a stop may take.")
def edge(*, kafka: KafkaClient, prefix: str, host: str, port: int, tokens: Path, drain_timeout: int) -> None:
    """Serve the API that agents report to.

    A report is answered with 200 when Kafka has it, and with an error that says whether to try again when not.
    """
    serving = Serving(host=host, port=port, drain_timeout_s=drain_timeout)
    try:
        app = build_edge(EdgeSettings(kafka, Topics(prefix), TableIds(), tokens))
        listener = bind(serving)
    except (ComposeError, ProducerError, SchemasError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"the edge listens on {address(listener)}", err=True)
    sys.exit(serve(app, listener, serving, app.drain))
