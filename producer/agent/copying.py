"""Runs a copy as four subtasks: scan, migrate, sync, configure. It knows their order, not how bytes are moved."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from taskstream.producer.agent.copy_counts import CopyCount, CopyCounts
from taskstream.producer.agent.destination import locked_destination
from taskstream.producer.agent.job import CopyJob, CopyResult
from taskstream.producer.agent.progress_meter import CopyProgress, ProgressMeter
from taskstream.producer.agent.replica import Replica
from taskstream.producer.agent.report_fields import ProcessUsage, to_report
from taskstream.producer.agent.reporter import Reporter
from taskstream.producer.agent.throttle import Throttle
from taskstream.producer.agent.transfer import CopyStopped, Transfer
from taskstream.producer.agent.tree import Entry, EntryKind, Listing, printable, scan
from taskstream.producer.client.progress_client import ProgressClient, Report
from taskstream.producer.clock import Clock

ATTACH = "ATTACH_AGENT_IMAGE"
MIGRATE = "MIGRATE_LINUX_FILE"
SYNC = "SYNC_LINUX_FILE"
CONFIGURE = "CONFIGURE_LINUX_FILE"
ON_REQUEST = "asked to stop"

_ON_PROGRESS_EVERY_S = 0.1
_DELIVER_AFTER_STOP_S = 5.0
_NOTHING_CAN_BE_WRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def copy_tree(
    job: CopyJob,
    client: ProgressClient,
    *,
    on_progress: Callable[[CopyProgress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    stop: threading.Event | None = None,
    clock: Clock = time,
) -> CopyResult:
    """Copy a tree and report its progress. Returns when the copy has ended and its final reports are sent or failed.

    The subtasks: ATTACH_AGENT_IMAGE scans the source; MIGRATE_LINUX_FILE copies it; SYNC_LINUX_FILE scans again and
    copies what has changed since (its sizes count only the changes); CONFIGURE_LINUX_FILE sets the modes and times of
    the directories. A subtask reaches 100 percent only if every entry succeeded. An entry that cannot be copied is a
    Problem in the result, not an exception.

    `on_progress` is called in the calling thread, about ten times per second and at the end of each subtask. `warn` is
    called in any thread, with one line about undelivered reports. Setting `stop` ends the copy between two chunks.

    Raises:
        CopyJobError: the source or the destination is invalid; DestinationUnusable if the destination cannot be
            written, or another agent copies to it.
    """
    with locked_destination(job.source, job.destination) as (source, destination):
        copy = _Copy(job, source, destination, on_progress=on_progress, stop=stop or threading.Event(), clock=clock)
        reporter = Reporter(client, job.task_id, copy.report, interval_s=job.interval_s, warn=warn)
        with reporter:
            return copy.run(reporter)


class _DestinationFull(Exception):
    """The destination is full or read-only, so every further file would fail too."""


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
        transfer = Transfer(Throttle(job.bwlimit_bps, clock), self._meter, self._between_steps)
        self._replica = Replica(source, destination, transfer, self._meter, fsync=job.fsync)
        self._next_progress_s = self._began_s = clock.monotonic()
        self._counts = CopyCounts()

    def report(self) -> Report | None:
        """The current progress as a report; None before the first subtask. Called in the reporter's thread."""
        progress = self._meter.progress()
        return None if progress is None else to_report(progress, self._usage, self._clock.time())

    def run(self, reporter: Reporter) -> CopyResult:
        """Run the subtasks, send the final reports, and return the result."""
        stopped, deliver_within_s = "", self._job.deliver_within_s
        try:
            listing = self._attach(reporter)
            self._migrate(listing, reporter)
            listing = self._sync(reporter)
            self._configure(listing, reporter)
        except CopyStopped:
            stopped, deliver_within_s = ON_REQUEST, min(_DELIVER_AFTER_STOP_S, deliver_within_s)
        except _DestinationFull as error:
            stopped = str(error)
        if stopped:
            self._end_subtask(reporter, f"stopped: {stopped}; {self._counts.summary()}", complete=False)
        seconds = self._clock.monotonic() - self._began_s
        reports = reporter.close(within_s=deliver_within_s)
        return self._counts.result(
            seconds=seconds, bytes_moved=self._meter.total_moved, reports=reports, stopped=stopped
        )

    def _attach(self, reporter: Reporter) -> Listing:
        self._begin_subtask(ATTACH, activity="scanning the source")
        listing = scan(self._source, self._on_directory)
        found = f"{len(listing.of_kind(EntryKind.FILE)):,} files of {listing.bytes:,} bytes"
        self._end_subtask(reporter, f"{found} in {printable(self._source)}", complete=True)
        return listing

    def _migrate(self, listing: Listing, reporter: Reporter) -> None:
        entries = listing.copiable()
        self._begin_subtask(MIGRATE, items=len(entries), bytes_total=listing.bytes)
        self._add_unreadable(listing)
        for number, entry in enumerate(entries, 1):
            self._between_steps(f"{printable(entry.path)} ({number:,} of {len(entries):,})")
            if entry.kind is EntryKind.DIRECTORY or not self._replica.is_current(entry):
                self._apply(self._replica.copy_entry, entry)
            elif self._apply(self._replica.update_metadata, entry):
                self._meter.add_present(entry.size)
                self._counts.already_there.add(entry, entry.size)
        self._end_subtask(reporter, self._counts.summary(), complete=not self._counts.failures)

    def _sync(self, reporter: Reporter) -> Listing:
        self._begin_subtask(SYNC, activity="scanning the source for changes")
        listing = scan(self._source, self._on_directory)
        entries = listing.copiable()
        changed = []
        for entry in entries:
            self._between_steps()
            if not self._replica.is_current(entry):
                changed.append(entry)
        self._meter.add_expected(len(entries), sum(entry.size for entry in changed))
        self._counts.specials = len(listing.entries) - len(entries)
        self._counts.at_destination = CopyCount()
        self._counts.clear_problems(entries)
        self._add_unreadable(listing)
        outdated = set(changed)
        for entry in entries:
            self._between_steps(f"{printable(entry.path)}, changed" if entry in outdated else None)
            self._apply(self._replica.copy_entry if entry in outdated else self._replica.update_metadata, entry)
        summary = f"{len(changed):,} changes; {self._counts.summary()}"
        self._end_subtask(reporter, summary, complete=not self._counts.failures)
        return listing

    def _configure(self, listing: Listing, reporter: Reporter) -> None:
        directories = listing.of_kind(EntryKind.DIRECTORY)
        self._begin_subtask(CONFIGURE, items=len(directories))
        for directory in reversed(directories):  # children first: writing in a directory changes its time
            self._between_steps(f"modes and times of {printable(directory.path)}")
            self._apply(self._replica.finish_directory, directory, count=False)
        summary = f"{len(directories):,} folders have their modes and times"
        self._end_subtask(reporter, summary, complete=not self._counts.failures)

    def _apply(self, step: Callable[[Entry], int], entry: Entry, *, count: bool = True) -> bool:
        """Run one step of the replica for one entry; record a failure, and return whether it succeeded.

        Raises:
            _DestinationFull: the destination is full or read-only.
        """
        try:
            size = step(entry)
        except OSError as error:
            if error.errno in _NOTHING_CAN_BE_WRITTEN:
                raise _DestinationFull(f"{error.strerror} at the destination") from error
            if os.path.lexists(self._source / entry.path):
                self._counts.add_failure(entry.path, error.strerror or str(error))
            else:
                self._counts.add_vanished(entry.path)
                self._meter.add_expected(-1, -entry.size)
            return False
        if count:
            self._counts.at_destination.add(entry, size)
        self._meter.add_item()
        return True

    def _add_unreadable(self, listing: Listing) -> None:
        for path, error in listing.unreadable:
            self._counts.add_failure(path, error.strerror or str(error))

    def _on_directory(self, path: str) -> None:
        self._between_steps(f"scanning {printable(path)}")

    def _begin_subtask(self, subtask: str, *, items: int = 0, bytes_total: int = 0, activity: str = "") -> None:
        self._counts.failures = 0
        self._meter.begin_subtask(subtask, items=items, bytes_total=bytes_total, activity=activity)

    def _between_steps(self, activity: str | None = None) -> None:
        """Raise CopyStopped if `stop` is set; else update the activity and call `on_progress` if it is due."""
        if self._stop.is_set():
            raise CopyStopped
        if activity is not None:
            self._meter.set_activity(activity)
        if self._clock.monotonic() >= self._next_progress_s:
            self._next_progress_s = self._clock.monotonic() + _ON_PROGRESS_EVERY_S
            progress = self._meter.progress()
            if progress is not None:
                self._on_progress(progress)

    def _end_subtask(self, reporter: Reporter, activity: str, *, complete: bool) -> None:
        last, subtask = self._meter.end_subtask(activity, complete=complete)
        self._counts.subtasks.append(subtask)
        reporter.queue_final(to_report(last, self._usage, self._clock.time()))
        self._on_progress(last)
