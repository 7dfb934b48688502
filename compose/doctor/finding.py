"""What one check found: good, bad or unknown, and what to do about it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import urllib3
from confluent_kafka import KafkaException

from taskstream.compose.errors import ComposeError
from taskstream.consumer.errors import ConsumerError
from taskstream.producer.errors import ProducerError
from taskstream.schemas.errors import SchemasError


class FindingVerdict(enum.StrEnum):
    """What a check comes to."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the account. Whatever is not good has a remedy."""

    check: str
    verdict: FindingVerdict
    what: str
    remedy: str = ""


def good(check: str, what: str) -> Finding:
    """As it should be."""
    return Finding(check, FindingVerdict.GOOD, what)


def bad(check: str, what: str, remedy: str) -> Finding:
    """Not as it should be."""
    return Finding(check, FindingVerdict.BAD, what, remedy)


def unknown(check: str, what: str, remedy: str) -> Finding:
    """Nobody could say."""
    return Finding(check, FindingVerdict.UNKNOWN, what, remedy)


FAILURES = (
    ComposeError,
    ConsumerError,
    ProducerError,
    SchemasError,
    KafkaException,
    urllib3.exceptions.HTTPError,
    OSError,
)
"""What a check may end with because of what it looks at; it then is bad, and the others go on."""


def looked_at(check: str, look: Callable[[], Iterable[Finding]], remedy: str) -> Iterator[Finding]:
    """What a look gives; when it fails, that is its finding."""
    try:
        yield from look()
    except KafkaException as error:
        yield bad(check, error.args[0].str(), remedy)
    except FAILURES as error:
        yield bad(check, _plain(error), remedy)


def _plain(error: BaseException) -> str:
    # urllib3 puts the connection object before some messages: "<...HTTPConnection object at 0x...>: text".
    return str(error).rpartition("object at 0x")[2].partition(": ")[2] or str(error) or type(error).__name__
