"""The copy itself, subtask by subtask: look, migrate, catch up, configure. It knows their order, not how bytes move."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from taskstream.producer.agent.copy_counts import CopyCount, CopyCounts
from taskstream.producer.agent.destination import claimed
from taskstream.producer.agent.job import CopyJob, CopyResult
from taskstream.producer.agent.progress_meter import CopyProgress, ProgressMeter
from taskstream.producer.agent.replica import Replica
from taskstream.producer.agent.report_fields import ProcessUsage, to_report
from taskstream.producer.agent.reporter import Reporter
from taskstream.producer.agent.throttle import Throttle
from taskstream.producer.agent.transfer import CopyStopped, Transfer
from taskstream.producer.agent.tree import Entry, EntryKind, Listing, readable, scan
from taskstream.producer.client.progress_client import ProgressClient, Report
from taskstream.producer.clock import Clock

ATTACH = "ATTACH_AGENT_IMAGE"
MIGRATE = "MIGRATE_LINUX_FILE"
SYNC = "SYNC_LINUX_FILE"
CONFIGURE = "CONFIGURE_LINUX_FILE"
ON_REQUEST = "asked to stop"

_SHOW_EVERY_S = 0.1
_SAY_GOODBYE_WITHIN_S = 5.0
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def copy_tree(
    job: CopyJob,
    client: ProgressClient,
    *,
    on_progress: Callable[[CopyProgress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    stop: threading.Event | None = None,
    clock: Clock = time,
) -> CopyResult:
    """Copy a tree and report it; returns when the copy has ended and its last reports are delivered or given up.

    The subtasks: ATTACH_AGENT_IMAGE looks through the source; MIGRATE_LINUX_FILE copies it; SYNC_LINUX_FILE
    looks again and copies what has changed since (its sizes are those of the changes alone);
    CONFIGURE_LINUX_FILE gives the folders their modes and times. A subtask reaches 100 percent only when
    nothing of it is left undone. What cannot be copied is a Problem in the result, never an exception.

    `on_progress` is called in this thread, about ten times a second and at each subtask's end; `warn` in any,
    with one line about reports that do not arrive. Setting `stop` ends the copy between two chunks.

    Raises:
        CopyRefused: the source or destination will not do; DestinationUnusable when another agent is at work there.
    """
    with claimed(job.source, job.destination) as (source, destination):
        copy = _Copy(job, source, destination, on_progress=on_progress, stop=stop or threading.Event(), clock=clock)
        reporter = Reporter(client, job.task_id, copy.report, interval_s=job.interval_s, warn=warn)
        with reporter:
            return copy.run(reporter)


class _NoRoom(Exception):
    """The destination takes nothing more: going on would only fail file by file."""


class _Copy:
    """One run of one job."""

    def __init__(
        self,
        job: CopyJob,
        source: Path,
        destination: Path,
        *,
        on_progress: Callable[[CopyProgress], None],
        stop: threading.Event,
        clock: Clock,
    ) -> None:
        self._job = job
        self._source = source
        self._on_progress = on_progress
        self._stop = stop
        self._clock = clock
        self._meter = ProgressMeter(clock)
        self._usage = ProcessUsage(clock)
        transfer = Transfer(Throttle(job.bwlimit_bps, clock), self._meter, self._go_on)
        self._replica = Replica(source, destination, transfer, self._meter, fsync=job.fsync)
        self._show_at_s = self._began_s = clock.monotonic()
        self._counts = CopyCounts()

    def report(self) -> Report | None:
        """This moment as a report; called in the reporter's thread."""
        progress = self._meter.progress()
        return None if progress is None else to_report(progress, self._usage, self._clock.time())

    def run(self, reporter: Reporter) -> CopyResult:
        """All subtasks, whatever happens in them."""
        stopped, deliver_within_s = "", self._job.deliver_within_s
        try:
            listing = self._look(reporter)
            self._migrate(listing, reporter)
            listing = self._catch_up(reporter)
            self._configure(listing, reporter)
        except CopyStopped:
            stopped, deliver_within_s = ON_REQUEST, min(_SAY_GOODBYE_WITHIN_S, deliver_within_s)
        except _NoRoom as error:
            stopped = str(error)
        if stopped:
            self._end(reporter, f"stopped: {stopped}; {self._counts.summary()}", whole=False)
        seconds = self._clock.monotonic() - self._began_s
        reports = reporter.close(within_s=deliver_within_s)
        return self._counts.result(
            seconds=seconds, bytes_moved=self._meter.moved_ever, reports=reports, stopped=stopped
        )

    def _look(self, reporter: Reporter) -> Listing:
        self._begin(ATTACH, doing="looking through the source")
        listing = scan(self._source, self._look_into)
        found = f"{len(listing.of_kind(EntryKind.FILE)):,} files of {listing.bytes:,} bytes"
        self._end(reporter, f"{found} in {readable(self._source)}", whole=True)
        return listing

    def _migrate(self, listing: Listing, reporter: Reporter) -> None:
        entries = listing.copiable()
        self._begin(MIGRATE, items=len(entries), bytes_total=listing.bytes)
        self._note_unreadable(listing)
        for number, entry in enumerate(entries, 1):
            self._go_on(f"{readable(entry.path)} ({number:,} of {len(entries):,})")
            if entry.kind is EntryKind.DIRECTORY or not self._replica.holds(entry):
                self._attempt(entry, self._replica.make)
            elif self._attempt(entry, self._replica.mend):
                self._meter.found(entry.size)
                self._counts.found.add(entry, entry.size)
        self._end(reporter, self._counts.summary(), whole=not self._counts.undone)

    def _catch_up(self, reporter: Reporter) -> Listing:
        self._begin(SYNC, doing="looking through the source for changes")
        listing = scan(self._source, self._look_into)
        entries = listing.copiable()
        changed = []
        for entry in entries:
            self._go_on()
            if not self._replica.holds(entry):
                changed.append(entry)
        self._meter.expect(len(entries), sum(entry.size for entry in changed))
        self._counts.specials = len(listing.entries) - len(entries)
        self._counts.there = CopyCount()
        self._counts.retry(entries)
        self._note_unreadable(listing)
        missing = set(changed)
        for entry in entries:
            self._go_on(f"{readable(entry.path)}, changed" if entry in missing else None)
            self._attempt(entry, self._replica.make if entry in missing else self._replica.mend)
        self._end(reporter, f"{len(changed):,} changes; {self._counts.summary()}", whole=not self._counts.undone)
        return listing

    def _configure(self, listing: Listing, reporter: Reporter) -> None:
        folders = listing.of_kind(EntryKind.DIRECTORY)
        self._begin(CONFIGURE, items=len(folders))
        for folder in reversed(folders):  # a folder's time is kept only once all within it is done
            self._go_on(f"modes and times of {readable(folder.path)}")
            self._attempt(folder, self._replica.finish, count=False)
        self._end(reporter, f"{len(folders):,} folders have their modes and times", whole=not self._counts.undone)

    def _attempt(self, entry: Entry, bring: Callable[[Entry], int], *, count: bool = True) -> bool:
        """Bring one entry to the destination; a failure is noted, and stops the copy only if all would fail."""
        try:
            size = bring(entry)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise _NoRoom(f"{error.strerror} at the destination") from error
            if os.path.lexists(self._source / entry.path):
                self._counts.failed(entry.path, error.strerror or str(error))
            else:
                self._counts.gone(entry.path)
                self._meter.expect(-1, -entry.size)
            return False
        if count:
            self._counts.there.add(entry, size)
        self._meter.item_done()
        return True

    def _note_unreadable(self, listing: Listing) -> None:
        for path, error in listing.unreadable:
            self._counts.failed(path, error.strerror or str(error))

    def _look_into(self, folder: str) -> None:
        self._go_on(f"looking through {readable(folder)}")

    def _begin(self, subtask: str, *, items: int = 0, bytes_total: int = 0, doing: str = "") -> None:
        self._counts.undone = 0
        self._meter.begin(subtask, items=items, bytes_total=bytes_total, doing=doing)

    def _go_on(self, doing: str | None = None) -> None:
        """Between two steps: stop if asked to, and let the caller see."""
        if self._stop.is_set():
            raise CopyStopped
        if doing is not None:
            self._meter.at(doing)
        if self._clock.monotonic() >= self._show_at_s:
            self._show_at_s = self._clock.monotonic() + _SHOW_EVERY_S
            progress = self._meter.progress()
            if progress is not None:
                self._on_progress(progress)

    def _end(self, reporter: Reporter, doing: str, *, whole: bool) -> None:
        last, ended = self._meter.end(doing, whole=whole)
        self._counts.subtasks.append(ended)
        reporter.deliver(to_report(last, self._usage, self._clock.time()))
        self._on_progress(last)
