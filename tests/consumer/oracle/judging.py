"""A row that has nothing but its complete minutes, as the fold judges it."""

from __future__ import annotations

import numpy as np

from taskstream.consumer.state.series import MINUTES, ROW
from taskstream.consumer.state.trend import update_trend


def judged(minute_bytes: list[int]) -> np.void:
    """The row of a series with these complete minutes, oldest first; what they hold is not in it."""
    rows = np.zeros(1, ROW)
    rows["minute_bytes"][0, MINUTES - len(minute_bytes) :] = minute_bytes
    rows["complete_minutes"] = len(minute_bytes)
    update_trend(rows, 0)
    rows["minute_bytes"] = 0
    return rows[0]
