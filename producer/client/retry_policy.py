"""When a request is worth sending again, and how long to wait first. It decides only: it neither waits nor sends.

urllib3's own Retry is not used for this: it sleeps by itself, knows no deadline, does not wait before the first
retry, and reads the wall clock, so nothing about it could be tested without waiting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

RETRIABLE_STATUSES = frozenset({408, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a client is. All of it in seconds."""

    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0
    deadline_s: float = 30.0
    backoff_first_s: float = 0.2
    backoff_most_s: float = 10.0

    def wait_s(self, attempt: int, retry_after_s: float | None, random: Callable[[], float]) -> float:
        """How long to wait after the given attempt (the first is 1); `random` gives numbers in [0, 1).

        What the server asked for is never cut short, only spread by up to a tenth of it and the first backoff;
        else it is exponential backoff with full jitter
        (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        """
        if retry_after_s is not None:
            return retry_after_s + random() * (0.1 * retry_after_s + self.backoff_first_s)
        doubled_s = self.backoff_first_s * 2.0 ** min(attempt - 1, 60)
        return random() * min(self.backoff_most_s, doubled_s)


def retry_after_s(header: str | None, now: float) -> float | None:
    """The seconds that a Retry-After header asks for, from a number or an HTTP-date (RFC 9110, 10.2.3).

    `now` is seconds since 1970. None when there is no header or it cannot be read; never negative.
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
