"""What the replay commands share: the fold's settings as options, a range's words, a meter, and how they may end."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import Task as Counted
from rich.text import Text

from taskstream.consumer.errors import BadRange
from taskstream.consumer.kafka.ranges import Bound, bound_of
from taskstream.consumer.state.series_table import Settings

Command = TypeVar("Command", bound=Callable[..., Any])
INTERRUPTED = 130
_ABOVE_NONE = click.FloatRange(min=0, min_open=True)

_bucket = click.option(
    "--bucket",
    "bucket_s",
    default=60.0,
    type=click.FloatRange(min=0.001),
    envvar="TASKSTREAM_BUCKET",
    help="Seconds of a 'minute': as the workers have it.",
)
_eta_part = click.option("--eta-part", default=0.25, type=_ABOVE_NONE, help="As the workers have it.")
_keep = click.option(
    "--keep", "keep_days", default=7.0, type=_ABOVE_NONE, help="Days after which an unheard series may be dropped."
)


def fold_options(command: Command) -> Command:
    """Give the command `fold: Settings`, which must be those of the workers."""

    @functools.wraps(command)
    def with_fold(*args: Any, bucket_s: float, eta_part: float, **kwargs: Any) -> Any:
        return command(*args, fold=Settings(bucket_s, eta_part), **kwargs)

    decorated: Any = _bucket(_eta_part(with_fold))
    return decorated  # type: ignore[no-any-return] # click's decorators give back what they are given, options added


def keep_option(command: Command) -> Command:
    """Give the command `keep_s: float`."""

    @functools.wraps(command)
    def with_keep(*args: Any, keep_days: float, **kwargs: Any) -> Any:
        return command(*args, keep_s=keep_days * 86_400.0, **kwargs)

    decorated: Any = _keep(with_keep)
    return decorated  # type: ignore[no-any-return] # as above


@contextlib.contextmanager
def wish_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: what is begun is then brought to an end. A second one interrupts at once."""
    wished = threading.Event()

    def wish(_signal: int, _frame: FrameType | None) -> None:
        wished.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, wish)
    try:
        yield wished.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class _Bound(click.ParamType[Bound]):
    name = "bound"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Bound:
        if not isinstance(value, str):
            bound: Bound = value
            return bound
        try:
            return bound_of(value, round(time.time() * 1000))
        except BadRange as error:
            self.fail(str(error), param, ctx)


BOUND = _Bound()


@contextlib.contextmanager
def interruptible(interrupted: str) -> Iterator[None]:
    """Ctrl-C tells `interrupted`, and gives 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"interrupted: {interrupted}", err=True)
        click.get_current_context().exit(INTERRUPTED)


@contextlib.contextmanager
def meter(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with rate and time left on stderr, if that is a terminal; gives what is to be told of records done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


class _Rate(TextColumn):
    """Records a second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Counted) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")
