"""The last 30 minutes of a task: up to now in a list, up to the newest report in its subtasks."""

from __future__ import annotations

import pytest

from taskstream.consumer.state.series import MINUTES
from taskstream.consumer.view.json.task_json import task_detail, task_summary
from tests.consumer.view.read_models import NOW, model, row
from tests.consumer.view.views import S

MINUTE = 60 * S
CLOSED = list(range(1, MINUTES + 1))
OPEN = 77


def told(passed_us: int) -> tuple[list[int], int]:
    """The minutes of a copy whose open one began at NOW, so long after that; and where the next one begins (ms)."""
    made = model({"p/t/MIGRATE_LINUX_FILE": row(minute_bytes=CLOSED, open_minute=NOW, open_minute_bytes=OPEN)})
    (task,) = made.tasks.live.tolist()
    page = task_detail(made, task, (), NOW + passed_us)
    (series,) = page["subtasks"]
    assert (series["minute_bytes"], series["open_minute_ms"]) == (CLOSED, NOW // 1000)  # its chart has an axis
    line = task_summary(made, task, NOW + passed_us)
    assert {name: page[name] for name in line} == line
    return line["minute_bytes"], line["open_minute_ms"]


@pytest.mark.parametrize("passed_us", [-3 * MINUTE, 0, MINUTE - 1])
def test_within_the_open_minute_and_by_a_clock_that_is_behind_the_minutes_are_the_row_s(passed_us):
    assert told(passed_us) == (CLOSED, NOW // 1000)


def test_a_minute_on_the_open_one_is_the_last_and_another_is_open():
    assert told(MINUTE) == ([*CLOSED[1:], OPEN], (NOW + MINUTE) // 1000)


@pytest.mark.parametrize(("passed", "left"), [(16, 14), (30, 0)])
def test_minutes_without_a_report_stand_empty_at_the_end(passed, left):
    minutes, open_ms = told(passed * MINUTE + S)
    assert minutes == [*CLOSED[MINUTES - left :], OPEN, *[0] * (passed - 1)]
    assert open_ms == (NOW + passed * MINUTE) // 1000


@pytest.mark.parametrize("passed", [31, 100_000])
def test_after_half_an_hour_of_silence_there_is_nothing_to_show(passed):
    assert told(passed * MINUTE) == ([0] * MINUTES, (NOW + passed * MINUTE) // 1000)
