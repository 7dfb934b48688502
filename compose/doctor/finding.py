"""The result of a check: good, bad or unknown, with a remedy. It knows no particular check."""

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
    """The verdict of a check."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's output. A finding that is not good has a remedy."""

    check: str
    verdict: FindingVerdict
    what: str
    remedy: str = ""


def good(check: str, what: str) -> Finding:
    """A finding about something that is as it should be."""
    return Finding(check, FindingVerdict.GOOD, what)


def bad(check: str, what: str, remedy: str) -> Finding:
    """A finding about something that is wrong."""
    return Finding(check, FindingVerdict.BAD, what, remedy)


def unknown(check: str, what: str, remedy: str) -> Finding:
    """A finding about something that could not be checked."""
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
"""The errors that a faulty deployment can cause in a check. They make the check's finding bad; others are bugs."""


def run_check(name: str, check: Callable[[], Iterable[Finding]], remedy: str) -> Iterator[Finding]:
    """The findings of a check; one of FAILURES becomes a bad finding with this remedy."""
    try:
        yield from check()
    except KafkaException as error:
        yield bad(name, error.args[0].str(), remedy)
    except FAILURES as error:
        yield bad(name, _message(error), remedy)


def _message(error: BaseException) -> str:
    # urllib3 puts the connection object before some messages: "<...HTTPConnection object at 0x...>: text".
    return str(error).rpartition("object at 0x")[2].partition(": ")[2] or str(error) or type(error).__name__
