"""Which notes hold: the newest of each task, until its end, however often a record is read."""

from __future__ import annotations

from dataclasses import replace

from taskstream.consumer.notes.note_decoder import NoteChange
from taskstream.consumer.notes.task_note import NoteKind, TaskNote
from taskstream.consumer.notes.task_notes import TaskNotes

NOW = 1_795_421_400_000_000
S = 1_000_000
MUTED = TaskNote("p", "t", NoteKind.MUTED, "known", "anna", NOW, NOW + 3_600 * S)


def changed(offset: int, note: TaskNote | None = MUTED) -> NoteChange:
    return NoteChange(("p", "t"), note, offset)


def test_the_newest_note_holds_and_a_tombstone_withdraws_it() -> None:
    notes = TaskNotes()
    acknowledged = replace(MUTED, kind=NoteKind.ACKNOWLEDGED)
    assert notes.apply([changed(0), changed(1, acknowledged)], NOW) == [("p", "t")]
    assert (notes.of("p", "t"), notes.is_muted("p", "t")) == (acknowledged, False)
    assert notes.apply([changed(2, None)], NOW) == [("p", "t")]
    assert (notes.of("p", "t"), len(notes)) == (None, 0)


def test_a_note_that_was_written_here_is_not_replaced_by_older_ones_that_are_read_later() -> None:
    notes = TaskNotes()
    notes.apply([changed(7)], NOW)
    assert notes.apply([changed(5, None), changed(7)], NOW) == []
    assert notes.is_muted("p", "t")


def test_a_note_ends_by_itself() -> None:
    notes = TaskNotes()
    notes.apply([changed(0)], NOW)
    assert notes.expire(MUTED.until - 1) == []
    assert notes.expire(MUTED.until) == [("p", "t")]
    assert not notes.is_muted("p", "t")


def test_a_note_that_has_ended_before_it_is_read_never_holds() -> None:
    notes = TaskNotes()
    notes.apply([changed(0)], MUTED.until)
    assert notes.of("p", "t") is None


def test_notes_are_forgotten_with_their_topic() -> None:
    notes = TaskNotes()
    notes.apply([changed(9)], NOW)
    assert notes.clear() == [("p", "t")]
    notes.apply([changed(0)], NOW)
    assert notes.is_muted("p", "t")
