"""The approximate count of live tasks: which are known, and when they are forgotten."""

from __future__ import annotations

from taskstream.producer.admission.live_tasks import LiveTasks


def admit(tasks, *names, now_s=0.0, project="p"):
    return [tasks.admit(project, f"{project}/{name}", now_s) for name in names]


def test_only_a_new_task_of_a_project_at_its_limit_is_refused():
    tasks = LiveTasks(2)
    assert admit(tasks, "a", "b", "c", "a", "b") == [True, True, False, True, True]
    assert admit(tasks, "c", project="q") == [True]


def test_a_refused_task_is_not_counted():
    tasks = LiveTasks(1, generation_s=10)
    assert admit(tasks, "a", *map(str, range(100))) == [True, *[False] * 100]
    assert len(tasks._current) == 1


def test_a_task_is_live_until_it_has_sent_nothing_for_one_to_two_generations():
    tasks = LiveTasks(1, generation_s=10)
    assert admit(tasks, "a") == [True]
    assert admit(tasks, "b", now_s=10.0) == [False]
    assert admit(tasks, "b", now_s=20.0) == [True]
    assert admit(tasks, "a", now_s=20.0) == [False]


def test_a_task_that_goes_on_reporting_stays_live():
    tasks = LiveTasks(1, generation_s=10)
    for number in range(10):
        assert admit(tasks, "a", "b", now_s=number * 10.0) == [True, False]


def test_after_a_long_pause_all_are_forgotten():
    tasks = LiveTasks(1, generation_s=10)
    admit(tasks, "a")
    assert admit(tasks, "b", now_s=25.0) == [True]


def test_the_tasks_of_all_projects_are_bounded():
    tasks = LiveTasks(10, remembered=100)
    for number in range(1_000):
        assert admit(tasks, "a", project=f"p{number}") == [True]
        assert len(tasks._current) + len(tasks._previous) <= 200
    assert len(tasks._current_of) + len(tasks._previous_of) <= 200


def test_no_limit_admits_all_and_remembers_none():
    tasks = LiveTasks(0)
    assert admit(tasks, *map(str, range(100))) == [True] * 100
    assert tasks.is_current("p/any")
    assert not tasks._current
