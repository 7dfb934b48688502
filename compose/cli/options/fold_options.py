"""The settings of the fold, as the replay commands need them; they must equal those of the workers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.consumer.state.series_table import Settings

Command = TypeVar("Command", bound=Callable[..., Any])
_ABOVE_NONE = click.FloatRange(min=0, min_open=True)

_bucket = click.option(
    "--bucket",
    "bucket_s",
    default=60.0,
    type=Seconds(0.001),
    envvar="TASKSTREAM_BUCKET",
    help="The length of a rate window, as set for the workers.",
)
_eta_part = click.option(
    "--eta-part", default=0.33, type=_ABOVE_NONE, help="The change of an ETA that is published, as set for the workers."
)
TASKS_PER_PROJECT = 50_000
tasks_option = click.option(
    "--tasks-per-project",
    default=TASKS_PER_PROJECT,
    type=click.IntRange(0),
    envvar="TASKSTREAM_TASKS_PER_PROJECT",
    help="Maximum live tasks of a project, 0: unlimited. The same for all workers and replays. Each partition has its "
    "share with a margin; reports of new tasks beyond it are rejected.",
)
_keep = click.option(
    "--keep", "keep_days", default=7.0, type=_ABOVE_NONE, help="Days without a report after which a series can expire."
)


def fold_options(command: Command) -> Command:
    """Give the command `fold: Settings`, made from --bucket, --eta-part and --tasks-per-project."""

    @functools.wraps(command)
    def with_fold(*args: Any, bucket_s: float, eta_part: float, tasks_per_project: int, **kwargs: Any) -> Any:
        return command(*args, fold=Settings(bucket_s, eta_part, tasks_per_project), **kwargs)

    decorated: Any = _bucket(_eta_part(tasks_option(with_fold)))
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added


def keep_option(command: Command) -> Command:
    """Give the command `keep_s: float`, made from --keep."""

    @functools.wraps(command)
    def with_keep(*args: Any, keep_days: float, **kwargs: Any) -> Any:
        return command(*args, keep_s=keep_days * 86_400.0, **kwargs)

    decorated: Any = _keep(with_keep)
    return decorated  # type: ignore[no-any-return] # as above
