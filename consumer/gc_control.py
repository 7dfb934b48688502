"""Turns Python's automatic garbage collection off for the whole process, for a loop that collects between batches.

Every batch creates ten thousand objects, which reference counting frees at once. Automatic collections, which start
after every few hundred new objects, took a fifth of the worker's CPU.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def manual_gc() -> Iterator[None]:
    """While this is open, only `gc.collect()` collects, and it skips the objects that existed before.

    In a process that has frozen objects already, those stay frozen and no others are.
    """
    _collect()
    freezes = gc.get_freeze_count() == 0
    if freezes:
        gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if freezes:
            gc.unfreeze()


def _collect() -> None:
    """Collect. A Ctrl-C is delayed until then: raised in a destructor, it would be ignored."""
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
        gc.collect()
        return
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: received.append(number))
    try:
        gc.collect()
    finally:
        signal.signal(signal.SIGINT, handler)
    if received:
        signal.raise_signal(signal.SIGINT)
