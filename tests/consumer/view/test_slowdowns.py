"""Tasks that slow down together, as the view finds them in the rows, and who may see what of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from taskstream.consumer.view.json.slowdown_json import slowdowns_json
from taskstream.consumer.view.read_model.read_model import ReadModel
from tests.consumer.view.read_models import NOW, changes, model, names, row

BUCKET_US = 60_000_000
COPY, CLOSE = "MIGRATE_LINUX_FILE", "CONFIGURE_LINUX"


def copying(number: int, halved_minutes: int = 0, later: int = 0) -> np.ndarray:
    """A row whose rate halved so many minutes ago, as of `later` minutes after NOW."""
    noise = np.exp(np.random.default_rng(number).normal(0.0, 0.05, 40))
    minutes = np.round(6e8 * noise)
    minutes[40 - halved_minutes :] *= 0.5
    open_us = NOW // BUCKET_US * BUCKET_US + later * BUCKET_US
    return row(
        minute_bytes=minutes[-30:].astype(np.int64),
        complete_minutes=30,
        open_minute=open_us,
        last_seen=NOW + later * BUCKET_US,
        last_advance=NOW + later * BUCKET_US,
        slow=halved_minutes > 0,
    )


def fleet(halved: int, halved_minutes: int, later: int = 0) -> dict[str, np.ndarray]:
    """Project p of twelve copies, `halved` of them slower, and two configurations; project q of twelve copies."""
    rows = {f"p/copy-{at}/{COPY}": copying(at, halved_minutes * (at < halved), later) for at in range(12)}
    rows |= {f"p/close-{at}/{CLOSE}": copying(50 + at, 0, later) for at in range(2)}
    return rows | {f"q/copy-{at}/{COPY}": copying(100 + at, 0, later) for at in range(12)}


def judged(rows: Mapping[str, np.ndarray]) -> ReadModel:
    made = model(rows)
    made.update_health(NOW)
    return made


def test_tasks_of_a_project_that_slow_down_in_one_minute_are_named_together() -> None:
    (found,) = slowdowns_json(judged(fleet(11, 3)), None)
    assert (found["kind"], found["name"], found["fell"], found["moving"]) == ("project", "p", 11, 14)
    assert found["begin_ms"] <= (NOW // BUCKET_US - 3) * BUCKET_US // 1000 < found["end_ms"]
    assert found["subtasks"] == [
        {"subtask_name": COPY, "fell": 11, "moving": 12},
        {"subtask_name": CLOSE, "fell": 0, "moving": 2},
    ]
    assert found["projects"] == [{"project_id": "p", "fell": 11, "moving": 14}]
    assert {each["task_id"] for each in found["tasks"]} == {f"copy-{at}" for at in range(11)}
    assert found["still_slow"] == 11
    assert found["text"].startswith("11 of 14 moving tasks of project p slowed down within 3 minutes of 20")
    assert found["text"].endswith(f": {COPY} 11 of 12, {CLOSE} none of 2")


def test_two_that_slow_down_are_nothing() -> None:
    assert slowdowns_json(judged(fleet(2, 3)), None) == []


def test_a_restarted_view_finds_what_happened_twenty_minutes_ago() -> None:
    (found,) = slowdowns_json(judged(fleet(11, 8)), None)
    assert found["fell"] == 11


def test_falls_that_become_known_one_after_the_other_are_one_finding() -> None:
    made = judged(fleet(0, 0))
    for later in range(1, 6):
        made.apply(changes(fleet(5 + later, 1 + later, later)), NOW + later * BUCKET_US)
        made.update_health(NOW + later * BUCKET_US)
    (found,) = slowdowns_json(made, None)
    assert found["fell"] >= 9
    assert made.slowdowns.count == 1


def test_a_reader_sees_its_own_project_and_no_other() -> None:
    made = judged(fleet(11, 3))
    assert [each["name"] for each in slowdowns_json(made, "p")] == ["p"]
    assert slowdowns_json(made, "q") == []


def test_of_a_slowdown_of_all_projects_a_reader_sees_its_own_tasks() -> None:
    rows = {f"{project}/{at}/{COPY}": copying(20 * ord(project) + at, 3) for project in "pqr" for at in range(8)}
    made = judged(rows)
    (found,) = slowdowns_json(made, None)
    assert found["fell"] == 24
    (own,) = slowdowns_json(made, "q")
    assert own["fell"] == own["moving"] == 8
    assert {each["project_id"] for each in own["tasks"]} == {"q"}
    assert [each["project_id"] for each in own["projects"]] == ["q"]
    assert own["subtasks"] == []


def test_a_day_later_it_is_forgotten() -> None:
    made = judged(fleet(11, 3))
    made.update_health(NOW + 1_440 * BUCKET_US)
    assert slowdowns_json(made, None) == []


def test_the_tasks_of_a_finding_may_be_gone() -> None:
    made = judged(fleet(11, 3))
    made.apply(changes({}, [f"p/copy-{at}/{COPY}" for at in range(11)]), NOW)
    (found,) = slowdowns_json(made, None)
    assert (found["fell"], found["still_slow"]) == (11, 0)
    assert "p/copy-0" not in names(made, made.tasks.live)
