"""The broker, the topics and the worker's group, as a Kafka client sees them."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaException

from taskstream.compose.doctor.finding import Finding, bad, good, unknown
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.remedies import difference_remedy
from taskstream.compose.topic_admin import found_topics
from taskstream.consumer.kafka.consumer_groups import GroupLags
from taskstream.consumer.kafka.quiet_admin import QuietAdmin
from taskstream.schemas.topics import Topics, differences

ANSWER_S = 5.0
_SPEAKS = re.compile(r"ApiKey \S+ \((\d+)\) Versions \d+\.\.(\d+)")
_PRODUCE, _FETCH, _TXN_OFFSET_COMMIT = 0, 1, 28
_MARKS = (
    ("4.1", _FETCH, 18),
    ("4.0", _PRODUCE, 12),
    ("3.9", _FETCH, 17),
    ("3.7", _FETCH, 16),
    ("3.5", _FETCH, 15),
    ("2.5", _TXN_OFFSET_COMMIT, 3),
)
"""By which version of which request a release of Kafka is known, the newest first. Before 2.5 no transaction knows the
generation of its group, and the worker cannot run."""
_MEMBERS_WITHIN_S = 3.0
_PAUSE_S = 0.2


def broker(kafka: KafkaClient) -> Iterator[Finding]:
    """Whether Kafka answers, and how old it is."""
    heard = _Heard()
    admin = QuietAdmin(kafka.config(log_level=7, debug="feature,broker"), logger=heard.logger)
    began_s = time.monotonic()
    try:
        metadata = admin.list_topics(timeout=ANSWER_S)
    except KafkaException as error:
        what, remedy = admin.cause(error)
        yield bad("broker", what, f"{remedy} See --bootstrap-servers, -X and --kafka-config" if remedy else "")
        return
    took_ms = (time.monotonic() - began_s) * 1000
    admin.poll(0)
    count = len(metadata.brokers)
    yield good("broker", f"{kafka.bootstrap_servers} answers after {took_ms:.0f} ms; brokers: {count}")
    speaks = heard.speaks
    release = next((name for name, request, version in _MARKS if speaks.get(request, -1) >= version), None)
    if release is not None:
        yield good("version", f"it speaks as Kafka {release} or newer does")
    elif speaks:
        yield bad("version", "it is older than Kafka 2.5", "the worker's transactions need Kafka 2.5 or newer")
    else:
        yield unknown(
            "version", "it did not say what it speaks", "ask it: kafka-broker-api-versions --bootstrap-server ..."
        )


def topics_on(kafka: KafkaClient, topics: Topics) -> Iterator[Finding]:
    """Whether the topics are as they are declared. A difference that does no harm is told and good."""
    differ = differences(topics, found_topics(kafka.config(), topics, ANSWER_S))
    harmless: dict[tuple[str, str], list[str]] = {}
    for each in differ:
        if each.fatal:
            yield bad("topics", f"{each.topic} {each.what}", difference_remedy(each))
        else:
            harmless.setdefault((each.what, difference_remedy(each).replace(each.topic, "TOPIC")), []).append(
                each.topic
            )
    for (what, remedy), names in harmless.items():
        yield good("topics", f"{what}, which does no harm: {', '.join(names)}; {remedy}")
    if not any(each.fatal for each in differ):
        yield good("topics", f"all {len(topics.all)} of {topics.prefix} are there and may be used")


def group_on(kafka: KafkaClient, topics: Topics, group: str, max_lag_s: float) -> Iterator[Finding]:
    """Whether somebody folds, and how far behind."""
    asking = GroupLags(kafka.config())
    deadline = time.monotonic() + _MEMBERS_WITHIN_S
    while not (members := asking.members(group)) and time.monotonic() < deadline:  # it may be sharing out anew
        time.sleep(_PAUSE_S)
    read = [place for place in members if place[0] == topics.progress.name]
    found = asking.lag(group, [topics.progress.name])
    if not members:
        yield bad("group", f"{group} has no members", "start `taskstream worker`, and see what it says")
    elif len(read) < len(found):
        what = f"{group} reads {len(read)} of {len(found)} partitions"
        yield bad("group", what, "wait until the partitions are shared out; if it stays so, see what the workers say")
    else:
        yield good("group", f"{group}: {len(set(members.values()))} members read {len(read)} partitions")
    now_ms = round(time.time() * 1000)
    records, behind_s = sum(each.records for each in found), max(each.seconds(now_ms) for each in found)
    if gone := sum(each.gone for each in found):
        what = f"retention has taken {gone:,} offsets that {group} never read"
        yield bad("lag", what, "keep progress longer; the worker's last line says how to go on without them")
    what = f"{group} is {records:,} records and {behind_s:,.1f} s behind"
    if behind_s > max_lag_s:
        yield bad("lag", what, "`taskstream lag` tells where; start more workers, or look at those that are there")
    else:
        yield good("lag", what)


class _Heard:
    """What librdkafka's log says of the requests that a broker speaks."""

    def __init__(self) -> None:
        self.speaks: dict[int, int] = {}
        """[request] Its newest version."""
        self.logger = logging.Logger("taskstream.doctor", logging.DEBUG)  # noqa: LOG001 (of nobody's tree: silent)
        handler: Any = logging.NullHandler()
        handler.handle = self._hear
        self.logger.addHandler(handler)

    def _hear(self, record: logging.LogRecord) -> bool:
        if match := _SPEAKS.search(record.getMessage()):
            self.speaks[int(match[1])] = int(match[2])
        return False
