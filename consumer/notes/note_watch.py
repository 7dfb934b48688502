"""Follows the notes topic from a thread of its own, for programs without an event loop: which tasks are muted now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import structlog

from taskstream.consumer.notes.note_decoder import NoteDecoder
from taskstream.consumer.notes.task_notes import TaskNotes
from taskstream.consumer.view.follow.followed_topic import FollowedTopic
from taskstream.schemas.errors import RegistryFailed
from taskstream.schemas.ids import SchemaIds

FIRST_S: Final = 5.0
"""How long entering waits for the notes that there are."""
_PAUSE_S: Final = 0.5
_log = structlog.get_logger("notes")


class NoteWatch:
    """`with NoteWatch(...) as watch: watch.is_muted(project_id, task_id)`. Until the topic can be read, nobody is."""

    def __init__(
        self, config: Mapping[str, Any], topic: str, ids: SchemaIds, clock: Callable[[], float] = time.time
    ) -> None:
        """`config` is librdkafka's. `clock`: seconds since 1970."""
        self._topic = FollowedTopic(config, topic)
        self._decoder = NoteDecoder(ids)
        self._clock = clock
        self._notes = TaskNotes()
        self._restarts = 0
        self._stopping = threading.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._first.wait(FIRST_S):
            _log.warning("notes_not_read", why=self._topic.progress.problem, meaning="no task counts as muted")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def is_muted(self, project_id: str, task_id: str) -> bool:
        """Whether this task does not alert now."""
        return self._notes.is_muted(project_id, task_id)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._turn()
        finally:
            self._topic.close()

    def _turn(self) -> None:
        records = self._topic.batch()
        while len(records) and not self._stopping.is_set():
            try:
                changes = self._decoder.decode(records).changes
            except RegistryFailed as error:
                _log.warning("registry_failed", why=str(error), remedy="the notes are read again until it answers")
                self._stopping.wait(_PAUSE_S)
                continue
            self._notes.apply(changes, self._now_us())
            break
        progress = self._topic.progress
        if progress.restarts != self._restarts:
            self._restarts = progress.restarts
            self._notes.clear()
        progress.update()
        self._notes.expire(self._now_us())
        if progress.caught_up:
            self._first.set()

    def _now_us(self) -> int:
        return round(self._clock() * 1_000_000)
