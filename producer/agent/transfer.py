"""Copies the bytes of one open file to another: resumes a partial copy, keeps holes, obeys the rate limit."""

import errno
import os
from collections.abc import Callable, Iterator

from taskstream.producer.agent.progress_meter import ProgressMeter
from taskstream.producer.agent.throttle import Throttle

_COMPARE_CHUNK = 1024 * 1024


class CopyStopped(Exception):
    """The copy was asked to stop."""


class Transfer:
    """Copies bytes between file descriptors, counts them, and can be stopped between two chunks."""

    def __init__(self, throttle: Throttle, meter: ProgressMeter, before_chunk: Callable[[], None]) -> None:
        """`before_chunk` is called before every chunk, and raises CopyStopped to end the copy."""
        self._throttle = throttle
        self._meter = meter
        self._before_chunk = before_chunk
        self._buffer = memoryview(bytearray(throttle.chunk))

    def copy(self, source: int, target: int, size: int) -> int:
        """Copy the first `size` bytes of the source; return the number copied, which is less if the source shrank.

        The leading chunks of the target that equal the source are kept; the rest of the target is overwritten.

        Raises:
            CopyStopped: the copy was stopped; the target then equals the beginning of the source.
            OSError: reading or writing failed.
        """
        kept = self._equal_prefix(source, target, min(size, os.fstat(target).st_size))
        os.ftruncate(target, kept)
        self._meter.add_present(kept)
        at = kept
        for begin, end in _data_ranges(source, kept, size):
            self._meter.add_present(begin - at)
            at = self._move(source, target, begin, end)
            if at < end:
                size = at
                break
        self._meter.add_present(size - at)
        os.ftruncate(target, size)
        return size

    def _equal_prefix(self, source: int, target: int, longest: int) -> int:
        """The length of the leading chunks, of at most `longest` bytes, that are equal in both files."""
        at = 0
        while at < longest:
            self._before_chunk()
            count = min(_COMPARE_CHUNK, longest - at)
            ours, theirs = os.pread(source, count, at), os.pread(target, count, at)
            if ours != theirs or not ours:
                return at
            at += len(ours)
        return at

    def _move(self, source: int, target: int, begin: int, end: int) -> int:
        at = begin
        while at < end:
            self._before_chunk()
            count = os.preadv(source, [self._buffer[: min(len(self._buffer), end - at)]], at)
            if not count:
                break
            _write(target, self._buffer[:count], at)
            at += count
            self._meter.add_moved(count)
            self._throttle.count_and_wait(count)
        return at


def _write(target: int, chunk: memoryview, at: int) -> None:
    while chunk:
        count = os.pwrite(target, chunk, at)
        chunk, at = chunk[count:], at + count


def _data_ranges(source: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The ranges between the file's holes; one range for a file without holes."""
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
