"""How commands respond to Ctrl-C and other stop signals. It does not know what the commands do."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import click

from taskstream.compose.cli.output.terminal import echo

INTERRUPTED = 130
"""The exit code of a command that was stopped before it was done."""
SAME_REQUEST_S = 0.5
"""Signals that arrive within this time of the first one count as the same request to stop."""


@contextlib.contextmanager
def stop_event(*signals: signal.Signals) -> Iterator[threading.Event]:
    """An event that the first of `signals` sets; by default Ctrl-C and SIGTERM. A second one stops the program."""
    stop = threading.Event()
    signals = signals or (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in signals}

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        for number, handler in previous.items():
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else handler)

    for number in signals:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def exit_when_interrupted(message: str) -> Iterator[None]:
    """On a KeyboardInterrupt, print `message` on standard error and exit with code 130."""
    try:
        yield
    except KeyboardInterrupt:
        echo(f"interrupted: {message}", err=True)
        click.get_current_context().exit(INTERRUPTED)


@contextlib.contextmanager
def end_on_signals() -> Iterator[Callable[[], bool]]:
    """Within the block, the first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt, which ends the block.

    Yields a function that returns whether another signal came later; those raise nothing. Signals that come together
    are one request: a service manager sends two, and a terminal that closes sends its own.
    """
    received_at_s: list[float] = []

    def on_signal(_signum: int, _frame: FrameType | None) -> None:
        received_at_s.append(time.monotonic())
        if len(received_at_s) == 1:
            raise KeyboardInterrupt

    def is_in_hurry() -> bool:
        return bool(received_at_s) and received_at_s[-1] - received_at_s[0] > SAME_REQUEST_S

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, on_signal) for signum in signals}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield is_in_hurry
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
