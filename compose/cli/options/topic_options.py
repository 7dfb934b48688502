"""Which topics a command uses, and how they are declared."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from taskstream.schemas.topics import Topics

Command = TypeVar("Command", bound=Callable[..., Any])
_DEFAULT = Topics()
LONGEST_PREFIX = 230
"""A topic name has at most 249 characters; the rest is for suffixes such as `.progress`."""


def _checked_prefix(_context: click.Context, _parameter: click.Parameter, prefix: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", prefix) or len(prefix) > LONGEST_PREFIX:
        allowed = f"1 to {LONGEST_PREFIX} letters, digits and . _ -"
        raise click.BadParameter(f"{prefix!r} is not a valid topic prefix: give {allowed}")
    return prefix


prefix_option = click.option(
    "--prefix",
    metavar="NAME",
    default=_DEFAULT.prefix,
    envvar="TASKSTREAM_PREFIX",
    callback=_checked_prefix,
    help="The prefix of the topic names. Pipelines with different prefixes can share a cluster.",
)
partitions_option = click.option(
    "--partitions",
    type=click.IntRange(min=1),
    default=_DEFAULT.partitions,
    envvar="TASKSTREAM_PARTITIONS",
    help="Partitions of each topic. The number is permanent: another one requires a new --prefix.",
)
retention_option = click.option(
    "--retention-days",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULT.retention_days,
    envvar="TASKSTREAM_RETENTION_DAYS",
    help="Retention of reports, rates, signals and rejected records.",
)
replication_option = click.option(
    "--replication-factor",
    type=click.IntRange(min=1),
    envvar="TASKSTREAM_REPLICATION_FACTOR",
    show_default="the cluster's default",
    help="Replicas of each partition. With 3, the loss of one broker loses no data.",
)
min_insync_option = click.option(
    "--min-insync-replicas",
    type=click.IntRange(min=1),
    envvar="TASKSTREAM_MIN_INSYNC_REPLICAS",
    show_default="the cluster's default",
    help="Replicas that must have a report before it is acknowledged. With 3 replicas, 2 survives the loss of any one.",
)


def topics_options(command: Command) -> Command:
    """Give the command `topics: Topics`, made from --prefix, --partitions and --retention-days."""

    @functools.wraps(command)
    def with_topics(*args: Any, prefix: str, partitions: int, retention_days: float, **kwargs: Any) -> Any:
        return command(*args, topics=Topics(prefix, partitions, retention_days), **kwargs)

    decorated: Any = prefix_option(partitions_option(retention_option(with_topics)))
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added
