"""A token bucket that limits a stream of bytes to an average rate. It knows no files."""

from taskstream.producer.clock import Clock


class Throttle:
    """Limits a stream to `rate_bps` bytes per second, with bursts of up to rate_bps / 10 bytes.

    Bytes are counted after they are moved: a chunk that overdraws the bucket is followed by a sleep. So in any s
    seconds at most rate_bps * (s + 0.1) bytes and one chunk pass.
    """

    def __init__(self, rate_bps: int | None, clock: Clock) -> None:
        """`rate_bps` None means no limit.

        Raises:
            ValueError: the rate is less than 1.
        """
        if rate_bps is not None and rate_bps < 1:
            raise ValueError(f"the limit is {rate_bps} bytes per second: give 1 or more, or None for no limit")
        self._rate_bps = rate_bps
        self._clock = clock
        self._burst = (rate_bps or 0) / 10
        self._tokens = self._burst
        self._filled_at_s = clock.monotonic()

    @property
    def chunk(self) -> int:
        """The number of bytes to move at a time: a tenth of a second's, within 4 KiB and 1 MiB."""
        if self._rate_bps is None:
            return 1024 * 1024
        return max(4096, min(1024 * 1024, self._rate_bps // 10))

    def count_and_wait(self, count: int) -> None:
        """Count bytes that were just moved, and sleep until the next may be."""
        if self._rate_bps is None:
            return
        now_s = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_at_s) * self._rate_bps)
        self._filled_at_s = now_s
        self._tokens -= count
        if self._tokens < 0:
            self._clock.sleep(-self._tokens / self._rate_bps)
