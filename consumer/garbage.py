"""When Python looks for cycles of garbage: between batches and seldom. It changes the whole process.

Every batch makes ten thousand objects that reference counts free at once; looking for cycles among them each time that
there are some hundred more cost a fifth of the worker's CPU.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collected_by_hand() -> Iterator[None]:
    """While this is open, cycles are looked for by `gc.collect()` alone, and not among what was there before."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
