"""Moves the bytes of one open file into another: continues what was begun, keeps holes, obeys the limit."""

import errno
import os
from collections.abc import Callable, Iterator

from taskstream.producer.agent.progress_meter import ProgressMeter
from taskstream.producer.agent.throttle import Throttle

_COMPARE_CHUNK = 1024 * 1024


class CopyStopped(Exception):
    """The copy was asked to stop."""


class Transfer:
    """Moves bytes between file descriptors, counts them, and can be stopped between two chunks."""

    def __init__(self, throttle: Throttle, meter: ProgressMeter, go_on: Callable[[], None]) -> None:
        """`go_on` is called before every chunk, and raises Stopped to end it."""
        self._throttle = throttle
        self._meter = meter
        self._go_on = go_on
        self._buffer = memoryview(bytearray(throttle.chunk))

    def copy(self, source: int, target: int, size: int) -> int:
        """Make the target the first `size` bytes of the source and return how many there were (fewer if it shrank).

        What the target begins with and the source too is kept; the rest of the target is overwritten.

        Raises:
            Stopped: between two chunks; what is in the target then is right as far as it goes.
            OSError: reading or writing failed.
        """
        kept = self._kept(source, target, min(size, os.fstat(target).st_size))
        os.ftruncate(target, kept)
        self._meter.found(kept)
        at = kept
        for begin, end in _with_data(source, kept, size):
            self._meter.found(begin - at)
            at = self._move(source, target, begin, end)
            if at < end:
                size = at
                break
        self._meter.found(size - at)
        os.ftruncate(target, size)
        return size

    def _kept(self, source: int, target: int, longest: int) -> int:
        at = 0
        while at < longest:
            self._go_on()
            count = min(_COMPARE_CHUNK, longest - at)
            ours, theirs = os.pread(source, count, at), os.pread(target, count, at)
            if ours != theirs or not ours:
                # The byte where they part is not looked for: from this chunk on it is copied again.
                return at
            at += len(ours)
        return at

    def _move(self, source: int, target: int, begin: int, end: int) -> int:
        at = begin
        while at < end:
            self._go_on()
            count = os.preadv(source, [self._buffer[: min(len(self._buffer), end - at)]], at)
            if not count:
                break
            _write(target, self._buffer[:count], at)
            at += count
            self._meter.moved(count)
            self._throttle.passed(count)
        return at


def _write(target: int, chunk: memoryview, at: int) -> None:
    while chunk:
        count = os.pwrite(target, chunk, at)
        chunk, at = chunk[count:], at + count


def _with_data(source: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches between holes; one stretch for a file without any."""
    status = os.fstat(source)
    if status.st_blocks * 512 >= status.st_size:
        if begin < end:
            yield begin, end
        return
    while begin < end:
        try:
            data = os.lseek(source, begin, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole to the end
                return
            raise
        if data >= end:
            return
        begin = os.lseek(source, data, os.SEEK_HOLE)
        yield data, min(begin, end)
