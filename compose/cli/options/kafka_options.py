"""How a command connects to Kafka, and where the local Kafka is installed."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from taskstream.compose.errors import KafkaPropertyError
from taskstream.compose.kafka_client import KafkaClient, kafka_client, parse_assignments, read_properties
from taskstream.compose.local.kafka_jars import default_cache_dir
from taskstream.compose.remedies import message_of

Command = TypeVar("Command", bound=Callable[..., Any])

_bootstrap_servers = click.option(
    "--bootstrap-servers",
    metavar="HOST:PORT[,...]",
    envvar="TASKSTREAM_BOOTSTRAP_SERVERS",
    help="One or more Kafka brokers. Alternatively, set bootstrap.servers in --kafka-config.",
)
_assignments = click.option(
    "-X",
    "assignments",
    metavar="KEY=VALUE",
    multiple=True,
    envvar="TASKSTREAM_KAFKA_PROPERTIES",
    help="A librdkafka setting; may be repeated, and overrides the same setting in --kafka-config. "
    "Other users can see command lines: put secrets into the file.",
)
_properties_file = click.option(
    "--kafka-config",
    "properties_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="TASKSTREAM_KAFKA_CONFIG",
    help="A file of librdkafka settings, one key=value per line, such as security.protocol, sasl.* and ssl.*.",
)

cache_dir_option = click.option(
    "--cache-dir",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="TASKSTREAM_CACHE_DIR",
    default=lambda: default_cache_dir(os.environ),
    show_default="$XDG_CACHE_HOME/taskstream or ~/.cache/taskstream",
    help="The folder for the jars of the local Kafka.",
)


def kafka_options(command: Command) -> Command:
    """Give the command `kafka: KafkaClient`, made from --bootstrap-servers, -X and --kafka-config."""
    return _with_kafka(command, kafka_client)


def optional_kafka_options(command: Command) -> Command:
    """Give the command `kafka: KafkaClient`, with empty `bootstrap_servers` when none are named."""
    return _with_kafka(command, functools.partial(kafka_client, required=False))


def _with_kafka(command: Command, make: Callable[[str | None, dict[str, str]], KafkaClient]) -> Command:
    @functools.wraps(command)
    def with_kafka(
        *args: Any,
        bootstrap_servers: str | None,
        assignments: tuple[str, ...],
        properties_file: Path | None,
        **kwargs: Any,
    ) -> Any:
        try:
            properties = read_properties(properties_file) if properties_file else {}
            kafka = make(bootstrap_servers, properties | parse_assignments(assignments))
        except KafkaPropertyError as error:
            raise click.UsageError(message_of(error)) from error
        return command(*args, kafka=kafka, **kwargs)

    decorated: Any = _bootstrap_servers(_assignments(_properties_file(with_kafka)))
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added
