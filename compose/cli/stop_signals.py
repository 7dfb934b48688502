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
    """On a KeyboardInterrupt, print `message` on standard error and exit with code 130.

    Where Ctrl-C comes while confluent-kafka converts an argument, as the name of a header, it raises a TypeError in
    place of the KeyboardInterrupt. So after a Ctrl-C a TypeError is taken for it.
    """
    with _noted_interrupt() as is_interrupted:
        try:
            yield
        except (KeyboardInterrupt, TypeError) as error:
            if not isinstance(error, KeyboardInterrupt) and not is_interrupted():
                raise
            echo(f"interrupted: {message}", err=True)
            click.get_current_context().exit(INTERRUPTED)


@contextlib.contextmanager
def _noted_interrupt() -> Iterator[Callable[[], bool]]:
    """Yields whether Ctrl-C came. It raises KeyboardInterrupt as ever; where it would not, nothing is changed."""
    interrupted = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_usual or threading.current_thread() is not threading.main_thread():
        yield interrupted.is_set
        return
    signal.signal(signal.SIGINT, on_signal)
    try:
        yield interrupted.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
