"""A token bucket that holds a stream of bytes to an average rate; it knows nothing of files."""

from taskstream.producer.clock import Clock


class Throttle:
    """Lets `rate_bps` bytes a second pass, with bursts of up to a tenth of a second's worth.

    Bytes are taken after the fact: a chunk larger than what the bucket holds passes, and is waited for. So over
    any span of s seconds no more than rate x (s + 0.1) bytes and one chunk pass.
    """

    def __init__(self, rate_bps: int | None, clock: Clock) -> None:
        """None lets everything pass."""
        if rate_bps is not None and rate_bps < 1:
            raise ValueError(f"a limit of {rate_bps} bytes a second would never end: give 1 or more, or none")
        self._rate_bps = rate_bps
        self._clock = clock
        self._burst = (rate_bps or 0) / 10
        self._tokens = self._burst
        self._filled_at_s = clock.monotonic()

    @property
    def chunk(self) -> int:
        """How many bytes to move at a time: about a tenth of a second's worth, 4 KiB to 1 MiB."""
        if self._rate_bps is None:
            return 1024 * 1024
        return max(4096, min(1024 * 1024, self._rate_bps // 10))

    def passed(self, count: int) -> None:
        """Account for bytes that have just passed; returns when the next ones may."""
        if self._rate_bps is None:
            return
        now_s = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_at_s) * self._rate_bps)
        self._filled_at_s = now_s
        self._tokens -= count
        if self._tokens < 0:
            self._clock.sleep(-self._tokens / self._rate_bps)
