"""Checks of the topics before a worker starts, and while it runs: they exist, fit each other and stay the same."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Self

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AclOperation, ConfigResource

from taskstream.consumer.errors import KafkaFailed, PartitionsUnequal, TopicMisconfigured, TopicsMissing
from taskstream.consumer.kafka.admin.quiet_admin import QuietAdmin, answered
from taskstream.consumer.kafka.admin.rights import require_rights
from taskstream.consumer.kafka.admin.topic_identity import TopicIdentity, offset_mark, require_same
from taskstream.consumer.kafka.admin.topic_watch import TopicWatch, topic_identities
from taskstream.consumer.kafka.kafka_errors import is_final
from taskstream.consumer.kafka.retry import QUESTION, RetryLimit, with_retry
from taskstream.schemas.access import PARTS
from taskstream.schemas.topics import DifferenceKind, FoundTopic, Topics, differences

_CALL_S = 10.0
ONCE = RetryLimit(seconds=0, attempts=1)
_log = structlog.get_logger("worker")


def check_topics(config: Mapping[str, Any], topics: Topics) -> int:
    """Check that a worker may fold `topics`; returns the number of partitions of the progress and the state topic.

    Raises:
        TopicsUnfit: one is missing, or progress and state have different numbers of partitions.
        KafkaFailed: Kafka did not answer.
    """
    admin = QuietAdmin(config)
    used = (topics.progress, topics.state, topics.rates, topics.signals, topics.rejected)
    names = [each.name for each in used]
    found = with_retry("the topics cannot be described", lambda: topic_identities(admin, names, _CALL_S), why=admin.why)
    if missing := [name for name in names if name not in found]:
        raise TopicsMissing(f"{', '.join(missing)} does not exist", topics.prefix)
    events, rows = found[topics.progress.name].partitions, found[topics.state.name].partitions
    if events != rows:
        raise PartitionsUnequal(
            f"{topics.progress.name} has {events} partitions and {topics.state.name} has {rows}: each partition of "
            "events needs one of state"
        )
    return events


def check_rights(config: Mapping[str, Any], topics: Topics, limit: RetryLimit = QUESTION) -> None:
    """Return when this user may read and write what a worker reads and writes, as far as the broker says.

    limit: how long the question is repeated while Kafka does not answer.

    Raises:
        RightMissing: a right on a topic is missing.
        KafkaFailed: Kafka did not answer.
    """
    admin = QuietAdmin(config)
    needed: dict[str, list[AclOperation]] = {}
    for each in PARTS["worker"](topics, ""):
        if each.kind == "topic" and not each.optional:
            needed.setdefault(each.name, []).append(AclOperation[each.operation.upper()])
    ask = partial(require_rights, admin, config, needed, _CALL_S)
    with_retry("the topics cannot be described", ask, limit, why=admin.why)


def check_settings(config: Mapping[str, Any], topics: Topics) -> None:
    """Return when the settings of the topics let a worker run; a doubtful one is logged. The topics exist.

    Raises:
        TopicMisconfigured: a topic has the wrong cleanup policy.
        KafkaFailed: Kafka did not answer.
    """
    admin = QuietAdmin(config)
    used = [each for each in topics.all if each not in (topics.probe, topics.notes)]
    resources = [ConfigResource(ConfigResource.Type.TOPIC, each.name) for each in used]

    def ask() -> dict[str, FoundTopic]:
        answers = admin.describe_configs(resources, request_timeout=_CALL_S)
        settings = {
            resource.name: {name: str(entry.value) for name, entry in answered(answer, _CALL_S).items()}
            for resource, answer in answers.items()
        }
        return {name: FoundTopic(topics.partitions, config) for name, config in settings.items()}

    what = "the settings of the topics cannot be described"
    try:
        described = with_retry(what, ask, why=admin.why)
    except KafkaFailed as error:
        if not _is_refused(error):
            raise
        _log.warning("settings not checked", why=str(error))
        return
    for each in differences(topics, described):
        if each.kind is DifferenceKind.SETTING and each.fatal:
            raise TopicMisconfigured(each)
        if each.setting == "message.timestamp.type":
            _log.warning("topic setting", topic=each.topic, what=each.what)


def current_mark(config: Mapping[str, Any], topics: Topics) -> str:
    """The metadata of offsets that belong to the state topic as it is now.

    Raises:
        TopicsMissing: it does not exist.
        KafkaFailed: Kafka did not answer.
    """
    admin, name = QuietAdmin(config), topics.state.name
    found = with_retry(
        "the topics cannot be described", lambda: topic_identities(admin, [name], _CALL_S), why=admin.why
    )
    if name not in found:
        raise TopicsMissing(f"{name} does not exist", topics.prefix)
    return offset_mark(found[name])


class TopicGuard:
    """`with TopicGuard(config, topics) as guard: guard.check()`, often: the topics are those that they were at first.

    Entering asks Kafka; then a thread asks every few seconds, and `check` only compares.
    """

    def __init__(self, config: Mapping[str, Any], topics: Topics) -> None:
        self._config = {name: value for name, value in config.items() if name != "logger"}
        self._names = [topics.progress.name, topics.state.name]
        self._state_name = topics.state.name
        self._prefix = topics.prefix
        self._watch = TopicWatch(self._config, self._names)
        self._first: dict[str, TopicIdentity] = {}
        self._checked: Mapping[str, TopicIdentity] = {}

    def __enter__(self) -> Self:
        self._first = self._ask()
        if missing := [name for name in self._names if name not in self._first]:
            raise TopicsMissing(f"{', '.join(missing)} does not exist", self._prefix)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.stop()

    @property
    def state(self) -> TopicIdentity:
        """The state topic when this was entered."""
        return self._first[self._state_name]

    @property
    def mark(self) -> str:
        """The metadata of the offsets that belong to its rows."""
        return offset_mark(self.state)

    def check(self) -> None:
        """Return when the topics are the same as when this was entered, as far as is known.

        Raises:
            TopicRecreated: one was deleted and created again.
            PartitionsAdded: one has another number of partitions.
        """
        found = self._watch.found
        if found is not self._checked:
            self._checked = found
            self._require_same(found)

    def check_now(self) -> None:
        """As `check`, with one question to Kafka.

        Raises:
            TopicsUnfit: as `check`.
            KafkaFailed: Kafka did not answer.
        """
        self._require_same(self._ask(ONCE))

    def _ask(self, limit: RetryLimit = QUESTION) -> dict[str, TopicIdentity]:
        admin = QuietAdmin(self._config)
        what = "the topics cannot be described"
        return with_retry(what, lambda: topic_identities(admin, self._names, _CALL_S), limit, why=admin.why)

    def _require_same(self, found: Mapping[str, TopicIdentity]) -> None:
        for name, before in self._first.items():
            if name in found:
                require_same(before, found[name])


def _is_refused(error: KafkaFailed) -> bool:
    """Whether this user may not ask, which need not stop a worker."""
    cause = error.__cause__
    return isinstance(cause, KafkaException) and is_final(cause.args[0])
