"""Checks the broker, the topics and the workers' consumer group. It writes nothing."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException

from taskstream.compose.doctor.finding import Finding, bad, good, unknown
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.remedies import difference_remedy
from taskstream.compose.topic_admin import found_topics, live_brokers
from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin
from taskstream.consumer.kafka.consumer_groups import GroupLags
from taskstream.schemas.durability import durability
from taskstream.schemas.topics import Difference, FoundTopic, Topics, differences

REQUEST_TIMEOUT_S = 5.0
_API_VERSION = re.compile(r"ApiKey \S+ \((\d+)\) Versions \d+\.\.(\d+)")
_PRODUCE, _FETCH, _TXN_OFFSET_COMMIT = 0, 1, 28
_RELEASES = (
    ("4.1", _FETCH, 18),
    ("4.0", _PRODUCE, 12),
    ("3.9", _FETCH, 17),
    ("3.7", _FETCH, 16),
    ("3.5", _FETCH, 15),
    ("2.5", _TXN_OFFSET_COMMIT, 3),
)
"""The API key and version that each release of Kafka introduced, newest release first.

Before 2.5, a transactional offset commit does not carry the group's generation (KIP-447), and the worker cannot run.
"""
_MEMBERS_WITHIN_S = 3.0
_PAUSE_S = 0.2


def check_broker(kafka: KafkaClient) -> Iterator[Finding]:
    """Whether Kafka answers, and which release it is."""
    log = _ApiVersionLog()
    admin = QuietAdmin(kafka.config(log_level=7, debug="feature,broker"), logger=log.logger)
    began_s = time.monotonic()
    try:
        metadata = admin.list_topics(timeout=REQUEST_TIMEOUT_S)
    except KafkaException as error:
        what, remedy = admin.cause(error)
        yield bad("broker", what, f"{remedy} See --bootstrap-servers, -X and --kafka-config" if remedy else "")
        return
    took_ms = (time.monotonic() - began_s) * 1000
    admin.poll(0)
    count = len(metadata.brokers)
    yield good("broker", f"{kafka.bootstrap_servers} answers after {took_ms:.0f} ms; brokers: {count}")
    versions = log.versions
    release = next((name for name, api, version in _RELEASES if versions.get(api, -1) >= version), None)
    if release is not None:
        yield good("version", f"Kafka {release} or newer")
    elif versions:
        yield bad("version", "older than Kafka 2.5", "upgrade: the worker's transactions need Kafka 2.5 or newer")
    else:
        remedy = "run `kafka-broker-api-versions --bootstrap-server HOST:PORT`"
        yield unknown("version", "the broker did not list its API versions", remedy)


def check_topics(kafka: KafkaClient, topics: Topics) -> Iterator[Finding]:
    """Whether the topics are as declared. A harmless difference is a good finding."""
    found = found_topics(kafka.config(), topics, REQUEST_TIMEOUT_S)
    differ = differences(topics, found)
    for each in differ:
        if each.fatal:
            yield bad("topics", f"{each.topic} {each.what}", difference_remedy(each))
    for what, remedy, names in _grouped([each for each in differ if not each.fatal]):
        yield good("topics", f"{what}, which is harmless: {names}; {remedy}")
    if not any(each.fatal for each in differ):
        yield good("topics", f"all {len(topics.all)} topics of {topics.prefix} exist and are usable")
    yield from _check_durability(topics, found, live_brokers(kafka.config(), REQUEST_TIMEOUT_S))


def _check_durability(topics: Topics, found: Mapping[str, FoundTopic], brokers: int) -> Iterator[Finding]:
    """Whether an acknowledged report survives the loss of a broker, and the pipeline goes on."""
    if not found:
        return
    lacking = durability(topics, found, brokers)
    for what, remedy, names in _grouped(lacking):
        yield bad("durability", f"{what}: {names}", remedy)
    if lacking:
        return
    replicas = min(each.replicas for each in found.values())
    if replicas == 1:
        what = "one broker: every topic has 1 replica, and reports are as durable as its disk"
        yield good("durability", what)
    else:
        in_sync = min(each.in_sync for each in found.values())
        yield good("durability", f"every topic has {replicas} replicas or more, {in_sync} or more in sync")


def _grouped(differ: Sequence[Difference]) -> Iterator[tuple[str, str, str]]:
    """What differs, the remedy, and the names of the topics; topics with the same difference together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in differ:
        groups.setdefault((each.what, difference_remedy(each).replace(each.topic, "TOPIC")), []).append(each.topic)
    for (what, remedy), names in groups.items():
        yield what, remedy, ", ".join(names)


def check_group(kafka: KafkaClient, topics: Topics, group: str, max_lag_s: float) -> Iterator[Finding]:
    """Whether the workers' group reads every partition, and how far it is behind."""
    lags = GroupLags(kafka.config())
    deadline = time.monotonic() + _MEMBERS_WITHIN_S
    while not (members := lags.members(group)) and time.monotonic() < deadline:  # a rebalance may be in progress
        time.sleep(_PAUSE_S)
    read = [partition for partition in members if partition[0] == topics.progress.name]
    found = lags.lag(group, [topics.progress.name])
    if not members:
        yield bad("group", f"{group} has no members", "start `taskstream worker`; if it exits, read its last log line")
    elif len(read) < len(found):
        what = f"{group} reads {len(read)} of {len(found)} partitions"
        yield bad("group", what, "wait for the end of the rebalance; if nothing changes, read the workers' logs")
    else:
        yield good("group", f"{group}: {len(set(members.values()))} members read {len(read)} partitions")
    now_ms = round(time.time() * 1000)
    records, behind_s = sum(each.records for each in found), max(each.seconds(now_ms) for each in found)
    if gone := sum(each.gone for each in found):
        what = f"retention has deleted {gone:,} offsets that {group} never read"
        yield bad("lag", what, "raise the topic's retention; the worker's last log line tells how to continue")
    what = f"{group} is {records:,} records and {behind_s:,.1f} s behind"
    if behind_s > max_lag_s:
        yield bad("lag", what, "`taskstream lag` lists the partitions; start more workers, or read the workers' logs")
    else:
        yield good("lag", what)


class _ApiVersionLog:
    """Collects the broker's API versions from librdkafka's debug log; no client API returns them."""

    def __init__(self) -> None:
        self.versions: dict[int, int] = {}
        """[API key] The highest version that the broker supports."""
        self.logger = logging.Logger("taskstream.doctor", logging.DEBUG)  # noqa: LOG001 (without a parent: prints nothing)
        handler: Any = logging.NullHandler()
        handler.handle = self._collect
        self.logger.addHandler(handler)

    def _collect(self, record: logging.LogRecord) -> bool:
        if match := _API_VERSION.search(record.getMessage()):
            self.versions[int(match[1])] = int(match[2])
        return False
