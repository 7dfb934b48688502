"""An operator's note about a task, as the API shows it. Pure."""

from __future__ import annotations

from typing import Any

from taskstream.consumer.notes.task_note import TaskNote


def note_json(note: TaskNote | None) -> dict[str, Any] | None:
    """The note; null: the task has none. Times are milliseconds since 1970."""
    if note is None:
        return None
    return {
        "kind": note.kind.value,
        "note": note.note,
        "by": note.by,
        "made_at_ms": note.made_at // 1000,
        "until_ms": note.until // 1000,
    }
