"""The names of tasks that come and go: kept up to date, they give what a sort of all of them gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.view.read_model.ordered_slice import ordered_slice
from taskstream.consumer.view.read_model.task_list import SORTS, TaskFilter, page_of, select_tasks
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.consumer.view.read_model.text_order import TextOrder
from tests.consumer.view.read_models import NOW, changes, model, names, row
from tests.consumer.view.views import S
from tests.examples import examples

IDS = ("a", "A", "ab", "b", "task-10", "task-9", "ä", "\u212a", "😀", "\uffff", "a/b", " ")
PROJECTS = ("p", "q", "é")
FIELDS = ("task_id", "project_id")
TEXTS = ("a", "K", "TASK-", "/", "ß", "b")

a_key = st.tuples(
    st.sampled_from(PROJECTS), st.sampled_from(IDS), st.sampled_from(["MIGRATE_LINUX_FILE", "SSL_CONFIG"])
)
steps = st.lists(
    st.tuples(
        st.dictionaries(a_key.map("/".join), st.integers(0, 100), max_size=8), st.sets(a_key.map("/".join), max_size=5)
    ),
    max_size=8,
)


@given(st.lists(st.tuples(st.lists(st.sampled_from(IDS), max_size=6), st.integers(0, 20)), max_size=12))
def test_an_order_of_texts_that_come_and_go_is_the_sort_of_those_that_are_there(changes_of_texts):
    order, held = TextOrder(), []
    for added, removed in changes_of_texts:
        gone, held = held[:removed], held[removed:]
        numbers = order.replace([number for number, _ in gone], added)
        held += zip(numbers, added, strict=True)
        texts = sorted({text for _, text in held})
        assert len(order) == len(texts)
        assert [order.text_at(rank) for rank in range(len(texts))] == texts
        assert order.ranks(np.array([number for number, _ in held], np.int64)).tolist() == [
            texts.index(text) for _, text in held
        ]
        for text in IDS:
            less = sum(each < text for each in texts)
            assert order.rank_of(text) == (less if text in texts else less - 0.5)


def ranked(made, held: TaskNames, field: str) -> list[str]:
    tasks = made.tasks.live
    return names(made, tasks[np.lexsort((made.tasks.tie[tasks], held.ranks(field, tasks)))])


def plainly_ranked(made, field: str) -> list[str]:
    part = FIELDS.index(field)
    key = {task: made.tasks.name_of(task)[1 - part] for task in made.tasks.live.tolist()}
    return names(made, sorted(key, key=lambda task: (key[task], int(made.tasks.tie[task]))))


@examples(150)
@given(steps)
def test_names_kept_up_to_date_give_what_all_names_give(several):
    made = model({})
    held = TaskNames(made)
    for put, drop in several:
        made.apply(changes({key: row() for key in put}, [key for key in drop if key not in put]), NOW)
        live, new = made.tasks.live, TaskNames(made)
        for field in FIELDS:
            assert ranked(made, held, field) == ranked(made, new, field) == plainly_ranked(made, field)
        for text in TEXTS:
            found = names(made, live[held.containing(text, live, ignore_case=False)])
            assert found == [each for each in names(made, live) if text in each.partition("/")[2]]
            folded = held.containing(text, live, ignore_case=True)
            assert folded.tolist() == new.containing(text, live, ignore_case=True).tolist()
        for task_id in IDS:
            with_id = [made.tasks.find(project, task_id) for project in made.tasks.projects]
            assert held.with_id(task_id).tolist() == [task for task in with_id if task is not None]


@pytest.mark.slow
def test_more_tasks_than_one_page_of_names_are_searched_alike():
    made = model({f"p/task-{number:04d}/SSL_CONFIG": row() for number in range(3_000)})
    held = TaskNames(made)
    tasks = made.tasks.live
    assert np.count_nonzero(held.containing("TASK-2", tasks, ignore_case=True)) == 1_000
    made.apply(
        changes({"q/Task-2/SSL_CONFIG": row()}, [f"p/task-{number:04d}/SSL_CONFIG" for number in range(2_000)]), NOW
    )
    tasks = made.tasks.live
    assert tasks.size == 1_001
    assert np.count_nonzero(held.containing("TASK-2", tasks, ignore_case=True)) == 1_001
    made.apply(changes({f"r/new-{number:05d}/SSL_CONFIG": row() for number in range(6_000)}), NOW)
    tasks = made.tasks.live
    assert np.count_nonzero(held.containing("new-", tasks, ignore_case=False)) == 6_000


@given(st.data())
def test_a_slice_of_an_order_is_that_of_the_sorted_whole(data):
    values = np.array(data.draw(st.lists(st.sampled_from([-1.0, 0.0, 1.0, 7.5, np.inf]), max_size=40)), np.float64)
    ties = np.array(data.draw(st.permutations(range(values.size))), np.uint64)
    begin = data.draw(st.integers(0, 45))
    end = begin + data.draw(st.integers(0, 45))
    assert ordered_slice(values, ties, begin, end).tolist() == np.lexsort((ties, values))[begin:end].tolist()


@examples(60)
@given(steps)
def test_a_model_that_changed_lists_what_a_model_made_of_its_rows_lists(several):
    made, held = model({}), {}
    of_made = TaskNames(made)
    for put, drop in several:
        dropped = {key for key in drop if key not in put}
        rows = {
            key: row(
                progress=value, replicatesize=value, first_seen=NOW - value * S, trend=value % 4, eta_s=float(value)
            )
            for key, value in put.items()
        }
        made.apply(changes(rows, dropped), NOW)
        of_made.refresh()
        held = {key: each for key, each in held.items() if key not in dropped} | rows
    other = model({key: held[key] for key in sorted(held)})
    of_other = TaskNames(other)
    for sort in SORTS:
        for sign in ("", "-"):
            pages = [
                page_of(each, of_each, select_tasks(each, of_each, TaskFilter(text="a")), sign + sort, 5, None)
                for each, of_each in ((made, of_made), (other, of_other))
            ]
            assert names(made, pages[0].tasks) == names(other, pages[1].tasks), sort
            assert pages[0].count == pages[1].count
    one, two = (
        {"/".join(each.tasks.name_of(task)): task for task in each.tasks.live.tolist()} for each in (made, other)
    )
    for name, task in one.items():
        for of_task in ("began", "done_bytes", "total_bytes", "health", "health_since"):
            assert getattr(made, of_task)[task] == getattr(other, of_task)[two[name]], of_task
        assert [each.tolist() for each in made.whole_bytes(np.array([task]))] == [
            each.tolist() for each in other.whole_bytes(np.array([two[name]]))
        ]


@pytest.mark.parametrize("most", [1, 2, 5, 100])
def test_the_parts_of_changes_make_what_the_whole_makes(most):
    rows = {f"p/task-{number}/SSL_CONFIG": row(progress=number) for number in range(7)}
    gone = [f"p/old-{number}/SSL_CONFIG" for number in range(3)]
    whole, in_parts = (model({key: row() for key in gone}) for _ in range(2))
    whole.apply(changes(rows, gone), NOW)
    for part in changes(rows, gone).parts(most):
        assert len(part.keys) + len(part.dropped) <= most
        in_parts.apply(part, NOW)
    assert sorted(names(whole, whole.tasks.live)) == sorted(names(in_parts, in_parts.tasks.live))
    for name in rows:
        project, task_id, _ = name.split("/")
        found = [
            each.current_column(np.array([each.tasks.find(project, task_id)]), "progress") for each in (whole, in_parts)
        ]
        assert [each.tolist() for each in found] == [rows[name]["progress"].tolist()] * 2
