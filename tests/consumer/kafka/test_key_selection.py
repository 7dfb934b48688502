"""Which records are meant, by their keys."""

from __future__ import annotations

import pytest

from taskstream.consumer.kafka.key_selection import KeySelection


@pytest.mark.parametrize("key", [b"p/t", "p/t", b"q/a/b", b"", None, b"\xff"])
def test_everything_takes_any_key(key):
    assert KeySelection().includes(key)


def test_a_project_takes_its_tasks_alone():
    chosen = KeySelection(project_id="p")

    assert chosen.includes(b"p/t")
    assert not chosen.includes(b"pq/t")


def test_a_task_is_found_in_any_project_or_in_the_one_that_is_named():
    assert KeySelection(task_id="t").includes(b"q/t")
    assert not KeySelection("p", "t").includes(b"q/t")
    assert KeySelection("p", "a/b").includes(b"p/a/b")


@pytest.mark.parametrize("key", [b"", None, b"p", b"\xff/t"])
def test_a_key_that_is_none_of_ours_belongs_to_no_project(key):
    assert not KeySelection(project_id="p").includes(key)


def test_the_key_of_a_series_has_a_subtask_behind_its_task():
    chosen = KeySelection("p", "a/b", of_series=True)

    assert chosen.includes(b"p/a/b/SUBTASK")
    assert not chosen.includes(b"p/a/b")
