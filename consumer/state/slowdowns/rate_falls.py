"""In which minute the rate of a series fell by a step, from its complete minutes. Pure, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import MINUTES, NONE, Rows
from taskstream.consumer.state.trend import RECENT_MINUTES, STEP_SIGMAS, lasting_step, log_rates, mean_of, widening
from taskstream.schemas.compiled import compiled

Ints = npt.NDArray[np.int64]
LEAST_MINUTES = 15
"""How many complete minutes must precede a fall. Otherwise the tasks that began together have their first falls, and
those that were found as soon as there were enough minutes, together."""


@compiled
def find_falls(rows: Rows, slots: Ints, closed_before_us: Ints, bucket_us: int, falls_us: Ints) -> None:
    """Write the begin of the minute in which each of these rows' rates fell last, in microseconds since 1970, or NONE.

    closed_before_us, falls_us: [slots]. Steps are looked for as of each minute that closed after `closed_before_us`,
    from the minutes until then, by the test of `update_trend`; a step within five minutes of one found before is the
    same. So a row that is read again after a restart has the fall of its last half hour.
    """
    for place in range(slots.shape[0]):
        row = rows[slots[place]]
        falls_us[place] = NONE
        count = row["complete_minutes"]
        open_us = row["open_minute"]
        first = count - min((open_us - closed_before_us[place]) // bucket_us, MINUTES) + 1
        if count <= LEAST_MINUTES or first > count:
            continue
        logs = log_rates(row["minute_bytes"], count)
        for end in range(max(first, LEAST_MINUTES + 1), count + 1):
            before = end - RECENT_MINUTES
            baseline = mean_of(logs, 0, before)
            change = mean_of(logs, before, end) - baseline
            wider = widening(row["typical_gap_s"], row["report_gap_square_s2"], bucket_us / US_PER_S, end)
            step, begin = lasting_step(logs, end, baseline, change, STEP_SIGMAS * wider)
            if begin == end - 2 and logs[begin] - logs[end - 1] > baseline - logs[begin]:
                begin = end - 1  # `largest_step` lets none begin with the newest minute
            fall_us = open_us - (count - begin) * bucket_us
            if step >= 0.0 or begin < LEAST_MINUTES:
                continue
            if falls_us[place] == NONE or fall_us - falls_us[place] > RECENT_MINUTES * bucket_us:
                falls_us[place] = fall_us
