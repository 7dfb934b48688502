"""A watched file is read again when it changes, and again every second while it cannot be used."""

from __future__ import annotations

from pathlib import Path

from taskstream.schemas.watched_file import CHECK_INTERVAL_S, WatchedFile


class Unusable(Exception):
    """What the reader raises."""


def test_what_cannot_be_used_is_told_once_and_tried_again_though_the_file_has_not_changed(tmp_path):
    path, now_s, problems, reads = tmp_path / "f", 0.0, [], []
    path.write_text("first")

    def read(path: Path) -> list[str]:
        reads.append(path)
        if 2 <= len(reads) <= 3:
            raise Unusable("not now")
        return path.read_text().split()

    watched = WatchedFile(path, read, [], unusable=Unusable, on_problem=problems.append, clock_s=lambda: now_s)
    assert watched.current() == ["first"]
    path.write_text("second one")
    assert watched.current() == ["first"], "it is looked at once a second"
    for expected, tried in ((["first"], 2), (["first"], 3), (["second", "one"], 4), (["second", "one"], 4)):
        now_s += CHECK_INTERVAL_S
        assert (watched.current(), len(reads)) == (expected, tried)
    assert watched.current() is watched.current()
    assert problems == ["not now"]


def test_a_file_that_is_gone_leaves_its_content_and_is_told_again_after_it_was_there(tmp_path):
    path, now_s, problems = tmp_path / "f", 0.0, []
    path.write_text("kept")

    def read(path: Path) -> str:
        try:
            return path.read_text()
        except OSError as error:
            raise Unusable("gone") from error

    watched = WatchedFile(path, read, "", unusable=Unusable, on_problem=problems.append, clock_s=lambda: now_s)
    watched.load()
    for told in (1, 2):
        path.unlink()
        now_s += CHECK_INTERVAL_S
        assert watched.current() == "kept"
        assert problems == ["gone"] * told
        path.write_text("kept")
        now_s += CHECK_INTERVAL_S
        assert watched.current() == "kept"
