"""The newest note of each task, and which of them hold now. It reads no topic and no clock."""

from __future__ import annotations

from collections.abc import Iterable

from taskstream.consumer.notes.note_decoder import NoteChange
from taskstream.consumer.notes.task_note import NoteKind, TaskNote

Name = tuple[str, str]


class TaskNotes:
    """Notes by task. `apply` and `expire` return the tasks whose note changed."""

    def __init__(self) -> None:
        self._active: dict[Name, TaskNote] = {}
        self._offsets: dict[Name, int] = {}
        """[task] the offset of its newest record: one that was written here is known before it is read."""

    def __len__(self) -> int:
        return len(self._active)

    def clear(self) -> list[Name]:
        """Forget all notes: the topic is another one."""
        names = list(self._active)
        self._active.clear()
        self._offsets.clear()
        return names

    def apply(self, changes: Iterable[NoteChange], now_us: int) -> list[Name]:
        """Notes that were made or withdrawn, in the order of their offsets."""
        changed: dict[Name, None] = {}
        for each in changes:
            if each.offset <= self._offsets.get(each.name, -1):
                continue
            self._offsets[each.name] = each.offset
            if each.note is not None and each.note.until > now_us:
                self._active[each.name] = each.note
            else:
                self._active.pop(each.name, None)
            changed[each.name] = None
        return list(changed)

    def expire(self, now_us: int) -> list[Name]:
        """Forget the notes that have ended."""
        ended = [name for name, note in self._active.items() if note.until <= now_us]
        for name in ended:
            del self._active[name]
        return ended

    def of(self, project_id: str, task_id: str) -> TaskNote | None:
        """The note that holds for this task."""
        return self._active.get((project_id, task_id))

    def is_muted(self, project_id: str, task_id: str) -> bool:
        """Whether this task does not alert."""
        note = self._active.get((project_id, task_id))
        return note is not None and note.kind is NoteKind.MUTED

    def names(self, kind: NoteKind | None = None) -> list[Name]:
        """The tasks with a note that holds, of one kind or of any."""
        return [name for name, note in self._active.items() if kind is None or note.kind is kind]
