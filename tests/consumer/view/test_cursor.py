"""Paging by cursor: a task that exists throughout comes exactly once, whichever others are added, dropped or moved."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_list import SORTS, page_of
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.schemas.http.api_error import ApiError
from tests.consumer.view.read_models import NOW, changes, model, names, row

SORTED_BY = ("task_id", "-task_id", "project_id", "progress", "-progress", "ends_at_ms", "-trend_change_pct", "health")


def key(number: int) -> str:
    return f"p-{number % 3}/task-{number:02d}/MIGRATE_LINUX_FILE"


def made_row(number: int, progress: int):
    known = number % 4 != 0
    return row(progress=progress, eta_s=60.0 * progress if known else float("nan"), trend_change_pct=float(number % 5))


def pages(made: ReadModel, sort: str, limit: int, between) -> list[str]:
    """All pages, one after another; `between` is called before each but the first."""
    seen: list[str] = []
    cursor = None
    while True:
        page = page_of(made, TaskNames(made), made.tasks.live, sort, limit, cursor)
        seen += names(made, page.tasks)
        cursor = page.next_cursor
        if cursor is None:
            return seen
        between()


@given(
    sort=st.sampled_from(SORTED_BY),
    limit=st.integers(1, 7),
    values=st.lists(st.integers(0, 3), min_size=1, max_size=25),
    moves=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 3) | st.none()), max_size=30),
)
def test_who_stays_as_it_was_comes_exactly_once(sort, limit, values, moves):
    made = model({key(number): made_row(number, value) for number, value in enumerate(values)})
    untouched = {names(made, [task])[0] for task in made.tasks.live}
    left = list(moves)

    def between() -> None:
        if not left:
            return
        number, value = left.pop()
        untouched.discard(key(number).rpartition("/")[0])
        rows = {} if value is None else {key(number): made_row(number, value)}
        made.apply(changes(rows, [key(number)] if value is None and number < len(values) else []), NOW)

    seen = pages(made, sort, limit, between)
    assert all(seen.count(each) == 1 for each in untouched)


@pytest.mark.parametrize("sort", sorted(SORTS))
@pytest.mark.parametrize("sign", ["", "-"])
def test_pages_of_every_sort_together_are_the_whole_list(sort, sign):
    made = model({key(number): made_row(number, number % 4) for number in range(23)})
    whole = page_of(made, TaskNames(made), made.tasks.live, sign + sort, 500, None)
    assert pages(made, sign + sort, 4, lambda: None) == names(made, whole.tasks)


def test_a_page_of_none_has_no_cursor_and_the_count_of_all():
    made = model({key(number): made_row(number, 0) for number in range(5)})
    page = page_of(made, TaskNames(made), made.tasks.live, "health", 0, None)
    assert (page.tasks, page.count, page.next_cursor) == ([], 5, None)


def encoded(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "ä",
        "====",
        encoded(None),
        encoded([]),
        encoded(["0x1p0", 1, "progress"]),
        encoded(["nan", 1, "health"]),
        encoded(["0x1p0", -1, "health"]),
        encoded(["0x1p0", 1 << 64, "health"]),
        encoded([[], 1, "health"]),
        encoded(["zero", 1, "health"]),
        encoded(["[" * 5000, 1, "health"]),
    ],
)
def test_what_is_no_cursor_of_this_sort_is_refused(cursor):
    made = model({key(1): made_row(1, 0)})
    with pytest.raises(ApiError, match="must be the next_cursor"):
        page_of(made, TaskNames(made), made.tasks.live, "health", 10, cursor)


@given(st.text(max_size=60))
def test_any_text_as_cursor_is_a_refusal_and_never_an_error(text):
    made = model({key(1): made_row(1, 0)})
    with pytest.raises(ApiError):
        page_of(made, TaskNames(made), made.tasks.live, "health", 10, text)
