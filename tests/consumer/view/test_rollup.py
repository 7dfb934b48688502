"""The read model against a plain model that keeps every row in a dict and searches all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from taskstream.consumer.state.series import Health, Trend
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.view.json.fleet_json import fleet_json
from taskstream.consumer.view.json.task_json import task_detail
from taskstream.consumer.view.read_model.read_model import ReadModel
from tests.consumer.view.read_models import NOW, changes, row
from tests.consumer.view.views import MB, S

SUBTASKS = ("CREATE_CLOUD_SERVER", "MIGRATE_LINUX_FILE", "SYNC_LINUX_FILE")
PERIOD_S = 60


@dataclass(frozen=True)
class Plain:
    """A series of the plain model."""

    task: tuple[str, str]
    subtask: str
    first_s: int
    last_s: int
    health: int
    quiet: bool
    done: int
    eta_s: float
    trend: int

    def row(self) -> np.ndarray:
        return row(
            first_seen=NOW + self.first_s * S,
            last_seen=NOW + self.last_s * S,
            last_advance=NOW + self.last_s * S,
            health=self.health,
            health_since=NOW + self.first_s * S,
            silent_since=NOW + self.last_s * S if self.quiet else -1,
            progress=100 if self.health == Health.COMPLETE else 50,
            replicatesize=self.done * MB,
            totalsize=10 * MB,
            eta_s=self.eta_s,
            trend=self.trend,
        )

    def health_at(self, now_s: int) -> Health:
        if self.health == Health.COMPLETE:
            return Health.COMPLETE
        return Health.SILENT if self.quiet or now_s - self.last_s > PERIOD_S else Health(self.health)


plains = st.builds(
    Plain,
    task=st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["a", "b", "c/d"])),
    subtask=st.sampled_from(SUBTASKS),
    first_s=st.integers(-4000, -2000),
    last_s=st.integers(-180, 0),
    health=st.sampled_from([0, 1, 2, 3]),
    quiet=st.booleans(),
    done=st.integers(0, 10),
    eta_s=st.just(math.nan) | st.floats(1, 1e5),
    trend=st.sampled_from([0, 1, 2, 3]),
)
batches = st.lists(
    st.tuples(st.lists(plains, max_size=6), st.sets(st.integers(0, 17), max_size=3), st.integers(0, 90)), max_size=8
)


class Model:
    """Every row in a dict; each query searches all of them."""

    def __init__(self) -> None:
        self.rows: dict[str, Plain] = {}
        self.now_s = 0

    def of_task(self, task: tuple[str, str]) -> list[Plain]:
        return sorted((each for each in self.rows.values() if each.task == task), key=lambda each: each.first_s)

    def tasks(self) -> set[tuple[str, str]]:
        return {each.task for each in self.rows.values()}

    def current(self, task: tuple[str, str]) -> list[Plain]:
        """The series that reported last; several if they reported and began at the same time."""
        heard = max((each.last_s, each.first_s) for each in self.of_task(task))
        return [each for each in self.of_task(task) if (each.last_s, each.first_s) == heard]


def key(plain: Plain) -> str:
    return "/".join((*plain.task, plain.subtask))


@settings(max_examples=150)
@given(batches)
def test_the_read_model_is_the_plain_roll_up_of_all_rows(steps):
    made, model = ReadModel(Settings(float(PERIOD_S))), Model()
    for puts, drops, passed_s in steps:
        model.now_s += passed_s
        rows = {key(each): each for each in puts}
        dropped = [name for place, name in enumerate(sorted(model.rows)) if place in drops and name not in rows]
        made.apply(changes({name: each.row() for name, each in rows.items()}, dropped), NOW + model.now_s * S)
        made.update_health(NOW + model.now_s * S)
        model.rows = {name: each for name, each in model.rows.items() if name not in dropped} | rows
        assert_same(made, model)


def assert_same(made: ReadModel, model: Model) -> None:
    assert {made.tasks.name_of(task) for task in made.tasks.live.tolist()} == model.tasks()
    pages = {}
    for name in model.tasks():
        task = made.tasks.find(*name)
        page = task_detail(made, task, (), NOW + model.now_s * S)
        pages[name] = page
        assert page["subtask_name"] in [each.subtask for each in model.current(name)]
        assert sorted(each["subtask_name"] for each in page["subtasks"]) == sorted(
            each.subtask for each in model.of_task(name)
        )
        firsts = [each["first_seen_ms"] for each in page["subtasks"]]
        assert firsts == sorted(firsts), "subtasks are in the order of their first reports"
        shown = {each.subtask: each for each in model.of_task(name)}[page["subtask_name"]]
        assert page["health"] == shown.health_at(model.now_s).name
        assert page["replicatesize"] == shown.done * MB
    current = [
        {each.subtask: each for each in model.of_task(name)}[page["subtask_name"]] for name, page in pages.items()
    ]
    assert_same_sums(fleet_json(made, made.tasks.live, NOW + model.now_s * S), current, model.now_s)


def assert_same_sums(sums, current: list[Plain], now_s: int) -> None:
    healths = [each.health_at(now_s) for each in current]
    unfinished = [each for each in current if each.health != Health.COMPLETE]
    heard = [each for each in current if each.health_at(now_s) not in (Health.COMPLETE, Health.SILENT)]
    ends = [NOW / S + each.last_s + each.eta_s for each in heard if not math.isnan(each.eta_s)]
    assert sums["tasks"] == len(current)
    assert sums["health"] == {each.name: healths.count(each) for each in Health}
    assert sums["trend"] == {each.name: sum(one.trend == each for one in unfinished) for each in Trend}
    assert sums["bytes_done"] == sum(each.done for each in current) * MB
    assert sums["bytes_left"] == sum(10 - each.done for each in current) * MB
    assert sums["rate_bps"] == len(heard) * 10 * MB
    assert sums["without_eta"] == len(unfinished) - len(ends)
    assert sums["ends_at_ms"] == (int(max(ends) * 1000) if ends else None)
    oldest = max((now_s - each.last_s for each in unfinished), default=None)
    assert sums["oldest_silence_s"] == oldest


@given(batches)
def test_what_changed_after_a_version_is_what_differs_and_a_departure_is_told(steps):
    made, model = ReadModel(Settings(float(PERIOD_S))), Model()
    for puts, drops, passed_s in steps:
        version, before = made.version, model.tasks()
        model.now_s += passed_s
        rows = {key(each): each for each in puts}
        dropped = [name for place, name in enumerate(sorted(model.rows)) if place in drops and name not in rows]
        made.apply(changes({name: each.row() for name, each in rows.items()}, dropped), NOW + model.now_s * S)
        model.rows = {name: each for name, each in model.rows.items() if name not in dropped} | rows
        told = {made.tasks.name_of(task) for task in made.changed_after(version).tolist()}
        assert told >= {each.task for each in rows.values()}
        gone = {(each.project_id, each.task_id) for each in made.gone_after(version)}
        assert gone == before - model.tasks()
