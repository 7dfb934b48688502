"""The read model against a plain model that keeps every row in a dict and searches all of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.series import Health, Trend
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.view.json.fleet_json import fleet_json
from taskstream.consumer.view.json.task_json import task_detail
from taskstream.consumer.view.read_model.read_model import ReadModel
from tests.consumer.view.read_models import NOW, changes, row
from tests.consumer.view.views import MB, S
from tests.examples import examples

SUBTASKS = ("CREATE_CLOUD_SERVER", "MIGRATE_LINUX_FILE", "SYNC_LINUX_FILE", "CONFIGURE_LINUX")
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

    @property
    def full(self) -> bool:
        return self.health == Health.COMPLETE


plains = st.builds(
    Plain,
    task=st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["a", "b", "c/d"])),
    subtask=st.sampled_from(SUBTASKS),
    first_s=st.integers(-4000, -1000),
    last_s=st.integers(-180, 0) | st.integers(-1000, 0) | st.integers(-3000, -1000),
    health=st.sampled_from([0, 1, 2, 3]),
    quiet=st.booleans(),
    done=st.integers(0, 10),
    eta_s=st.just(math.nan) | st.floats(1, 1e5),
    trend=st.sampled_from([0, 1, 2, 3]),
).map(lambda each: replace(each, last_s=max(each.first_s, each.last_s)))
batches = st.lists(
    st.tuples(st.lists(plains, max_size=6), st.sets(st.integers(0, 23), max_size=3), st.integers(0, 90)), max_size=8
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

    def pause_limit_s(self) -> float:
        pauses = []
        for task in self.tasks():
            series = self.of_task(task)
            pauses += [b.first_s - a.last_s for a, b in itertools.pairwise(series) if b.first_s >= a.last_s]
        total = sum(pauses)
        if len(pauses) < 5 or total == 0:
            return 10 * PERIOD_S
        return max(10 * PERIOD_S, 3 * sum(each * each for each in pauses) / total)

    def goes_on(self, project: str) -> bool:
        """Whether a task of the project went on from a synchronisation to a configuration."""
        for task in self.tasks():
            first = {each.subtask: each.first_s for each in self.of_task(task)}
            synced, configured = first.get("SYNC_LINUX_FILE"), first.get("CONFIGURE_LINUX")
            if task[0] == project and None not in (synced, configured) and configured > synced:
                return True
        return False

    def health_of(self, current: Plain) -> Health:
        """The health of the task with this current subtask."""
        unheard_s = self.now_s - current.last_s
        if not current.full:
            return Health.SILENT if current.quiet or unheard_s > PERIOD_S else Health(current.health)
        if current.subtask == "CONFIGURE_LINUX":
            return Health.COMPLETE
        if current.subtask == "SYNC_LINUX_FILE" and not self.goes_on(current.task[0]):
            return Health.COMPLETE if unheard_s > PERIOD_S else Health.OK
        return Health.SILENT if current.quiet or unheard_s > self.pause_limit_s() else Health.OK


def key(plain: Plain) -> str:
    return "/".join((*plain.task, plain.subtask))


@examples(150)
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
        assert page["health"] == model.health_of(shown).name
        assert page["task_replicatesize"] == sum(each.done for each in model.of_task(name)) * MB
        assert page["task_first_seen_ms"] == NOW // 1000 + min(each.first_s for each in model.of_task(name)) * 1000
        silent = [each["subtask_name"] for each in page["subtasks"] if each["health"] == "SILENT"]
        assert set(silent) <= {shown.subtask}, "a subtask with a later sibling is never silent"
        assert page["replicatesize"] == shown.done * MB
    current = [
        {each.subtask: each for each in model.of_task(name)}[page["subtask_name"]] for name, page in pages.items()
    ]
    assert_same_sums(fleet_json(made, made.tasks.live, NOW + model.now_s * S), current, model)


def assert_same_sums(sums, current: list[Plain], model: Model) -> None:
    now_s = model.now_s
    healths = [model.health_of(each) for each in current]
    unfinished = [each for each, health in zip(current, healths, strict=True) if health != Health.COMPLETE]
    finished = [each for each in current if each not in unfinished]
    heard = [each for each in unfinished if model.health_of(each) != Health.SILENT and not each.full]
    moving = [each for each in heard if model.health_of(each) != Health.NO_PROGRESS]
    whole = [each for one in finished for each in model.of_task(one.task)]
    ends = [NOW / S + each.last_s + each.eta_s for each in heard if not math.isnan(each.eta_s)]
    assert sums["tasks"] == len(current)
    assert sums["health"] == {each.name: healths.count(each) for each in Health}
    assert sums["trend"] == {each.name: sum(one.trend == each for one in moving) for each in Trend}
    assert sums["bytes_done"] == sum(each.done for each in unfinished + whole) * MB
    assert sums["bytes_left"] == sum(10 - each.done for each in unfinished + whole) * MB
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
