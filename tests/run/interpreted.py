"""A pytest plugin, `-p tests.run.interpreted`: loops run as the Python that they are written in, not compiled.

So their lines can be counted, and changed without a compilation. The index of keys stays compiled: as Python, its hash
takes thousands of times as long.
"""

from __future__ import annotations

import numpy as np

import taskstream.consumer.state.table.key_index  # noqa: F401 -- imported before the decorators do nothing
from taskstream.schemas import compiled as decorators
from taskstream.schemas.compiled import F


def as_it_is(loop: F) -> F:
    """In place of a decorator."""
    return loop


decorators.compiled = decorators.compiled_in_place = as_it_is
np.seterr(over="ignore")  # hashes of event ids wrap around: machine code is silent about it, numpy warns
