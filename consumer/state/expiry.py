"""Decides which series have not reported for so long that the table need not hold them. It drops none itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import Rows


def expired(rows: Rows, now_us: int, keep_s: float) -> npt.NDArray[np.int64]:
    """The slots whose last report is more than `keep_s` ago."""
    return np.flatnonzero(rows["live"] & (now_us - rows["last_seen"] > keep_s * US_PER_S))
