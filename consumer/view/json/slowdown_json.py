"""Tasks that slowed down together, as the API shows them: the group, its numbers, its tasks, and a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.slowdown_watch import Share, Slowdown

MOST_TASKS: Final = 100
"""How many tasks of a finding are listed."""
MOST_SHARES: Final = 100
"""How many projects, and how many subtasks."""
RECENT_S: Final = 3_600
"""How old a finding may be that /fleet shows."""


def slowdowns_json(model: ReadModel, project_id: str | None, since_us: int = 0) -> list[dict[str, Any]]:
    """The findings since then, the newest first: what a reader of this project may see of them, or all of them."""
    found = [each for each in model.slowdowns.found if each.end_us >= since_us]
    if project_id is not None:
        found = [own for each in found if (own := each.of_project(project_id)) is not None]
    return [_slowdown_json(model, each) for each in sorted(found, key=lambda each: each.begin_us, reverse=True)]


def _slowdown_json(model: ReadModel, found: Slowdown) -> dict[str, Any]:
    numbers = [number for name in found.tasks if (number := model.tasks.find(*name)) is not None]
    slots = model.tasks.current[numbers]
    return {
        "kind": found.kind,
        "name": found.name,
        "begin_ms": found.begin_us // 1000,
        "end_ms": found.end_us // 1000,
        "fell": found.fell,
        "moving": found.moving,
        "expected": round(found.expected, 3),
        "still_slow": int(model.table.rows["slow"][slots].sum()) if numbers else 0,
        "projects": [
            {"project_id": each.name, "fell": each.fell, "moving": each.moving} for each in found.projects[:MOST_SHARES]
        ],
        "subtasks": [
            {"subtask_name": each.name, "fell": each.fell, "moving": each.moving}
            for each in found.subtasks[:MOST_SHARES]
        ],
        "tasks": [{"project_id": project, "task_id": task} for project, task in found.tasks[:MOST_TASKS]],
        "text": slowdown_text(found),
    }


def slowdown_text(found: Slowdown) -> str:
    """The finding in a sentence, with its numbers; times are UTC."""
    begin = datetime.fromtimestamp(found.begin_us / 1e6, UTC)
    minutes = (found.end_us - found.begin_us) / 60e6
    within = f"{minutes:g} minutes" if minutes >= 1 else f"{minutes * 60:g} seconds"
    where = {"fleet": "of the fleet", "project": f"of project {found.name}", "subtask": f"in {found.name}"}[found.kind]
    text = f"{found.fell:,} of {found.moving:,} moving tasks {where} slowed down within {within} of "
    text += f"{begin:%Y-%m-%d %H:%M} UTC ({found.expected:.2g} by chance)"
    shares = found.subtasks if found.kind == "project" else found.projects
    return f"{text}: {_shares_text(shares)}" if shares and (len(shares) > 1 or found.kind == "project") else text


def _shares_text(shares: tuple[Share, ...]) -> str:
    """The first four shares."""
    text = ", ".join(f"{each.name} {each.fell or 'none'} of {each.moving}" for each in shares[:4])
    return f"{text}, and {len(shares) - 4} more" if len(shares) > 4 else text
