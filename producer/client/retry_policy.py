"""Decides which responses are retried and how long to wait before a retry. It neither waits nor sends.

urllib3's Retry is not used: it sleeps itself, has no deadline, does not wait before the first retry, and reads the
wall clock, so it could not be tested without waiting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

RETRIABLE_STATUSES = frozenset({408, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The timeouts and the backoff of a client, in seconds. `deadline_s` bounds all attempts of one call."""

    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0
    deadline_s: float = 30.0
    backoff_first_s: float = 0.2
    backoff_most_s: float = 10.0

    def wait_s(self, attempt: int, retry_after_s: float | None, random: Callable[[], float]) -> float:
        """Seconds to wait after an attempt (the first is 1); `random` returns numbers in [0, 1).

        With a Retry-After r: r + random * (r / 10 + backoff_first_s), so never less than r. Without: exponential
        backoff with full jitter, random * min(backoff_most_s, backoff_first_s * 2 ** (attempt - 1))
        (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        """
        if retry_after_s is not None:
            return retry_after_s + random() * (0.1 * retry_after_s + self.backoff_first_s)
        doubled_s = self.backoff_first_s * 2.0 ** min(attempt - 1, 60)
        return random() * min(self.backoff_most_s, doubled_s)


def retry_after_s(header: str | None, now: float) -> float | None:
    """The seconds in a Retry-After header: a number, or an HTTP-date minus `now` (RFC 9110, 10.2.3).

    `now` is in seconds since 1970 UTC. None if the header is absent or invalid; never negative.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)
