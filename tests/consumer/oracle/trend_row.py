"""A row of the table with nothing but complete minutes, for tests of the trend."""

from __future__ import annotations

import numpy as np

from taskstream.consumer.state.series import MINUTES, ROW
from taskstream.consumer.state.trend import update_trend


def trend_row(minute_bytes: list[int]) -> np.void:
    """The row after `update_trend` of these complete minutes, oldest first; its minute_bytes are cleared again."""
    rows = np.zeros(1, ROW)
    rows["minute_bytes"][0, MINUTES - len(minute_bytes) :] = minute_bytes
    rows["slow_baseline"] = np.nan
    rows["complete_minutes"] = len(minute_bytes)
    update_trend(rows, 0, 60_000_000)
    rows["minute_bytes"] = 0
    return rows[0]
