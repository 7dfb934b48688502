"""Which single series are silent: the rule that a task's health applies to the subtask that reported last."""

from __future__ import annotations

import numpy as np

from taskstream.consumer.state.series import NONE, Health, Rows
from taskstream.consumer.state.silence import Ints, is_overdue


def silent(rows: Rows, now_us: int, bucket_us: int) -> Ints:
    """The slots without a report for longer than their quiet limit, that are not complete and not marked yet."""
    waiting = np.flatnonzero(rows["live"] & (rows["silent_since"] == NONE) & (rows["health"] != Health.COMPLETE))
    return waiting[is_overdue(rows, waiting, now_us, bucket_us)]
