"""When Python looks for cycles of garbage: between batches and seldom. It changes the whole process.

Every batch makes ten thousand objects that reference counts free at once; looking for cycles among them each time that
there are some hundred more cost a fifth of the worker's CPU.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def manual_gc() -> Iterator[None]:
    """While this is open, cycles are looked for by `gc.collect()` alone, and not among what was there before."""
    _collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def _collect() -> None:
    """Look for cycles. A Ctrl-C meanwhile comes afterwards: raised out of what is being freed, it would be lost."""
    if threading.current_thread() is not threading.main_thread():  # nobody interrupts the others
        gc.collect()
        return
    came: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        gc.collect()
    finally:
        signal.signal(signal.SIGINT, usual)
    if came:
        signal.raise_signal(signal.SIGINT)
