"""Topics on a cluster whose brokers hear of them one after the other, in memory: who asks next may ask any broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import ConfigResource, NewTopic

from taskstream.compose import topic_admin
from taskstream.compose.errors import TopicsError
from taskstream.compose.topic_admin import create_topics, found_topics
from taskstream.schemas.topics import Topics

TOPICS = Topics("t", partitions=1)
NAMES = {topic.name for topic in TOPICS.all}
CONFIG = {"bootstrap.servers": "a:1"}
UNKNOWN = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
SILENT = KafkaException(KafkaError(KafkaError._TIMED_OUT))
TAKEN = KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS))
FORBIDDEN = KafkaException(KafkaError(KafkaError.SASL_AUTHENTICATION_FAILED))


class Brokers:
    """A cluster: each broker, by host, has a function that says at its n-th listing which topics it knows."""

    def __init__(self, knowledge: Mapping[str, Callable[[int], set[str]]]) -> None:
        self.knowledge = knowledge
        self.exist: set[str] = set()
        self.described: Callable[[int], set[str]] = lambda _: self.exist
        """Which topics are known to the broker that answers the n-th question for descriptions."""
        self.configured: Callable[[int], set[str]] = lambda _: self.exist
        self.lost_answers = 0
        """The number of requests to create that are done and not answered."""
        self.questions = Counter[str]()
        """[address, or kind of question] How often it was asked."""


class Client:
    """What `topic_admin` uses of an admin client."""

    def __init__(self, brokers: Brokers, config: Mapping[str, Any]) -> None:
        self._brokers = brokers
        self._address = config["bootstrap.servers"]

    def create_topics(self, new: list[NewTopic], **_: float) -> dict[str, Future[None]]:
        names = {each.topic for each in new}
        answers = {name: _answer(TAKEN if name in self._brokers.exist else None) for name in names}
        self._brokers.exist |= names
        if self._count("created") <= self._brokers.lost_answers:
            return {name: _answer(SILENT) for name in names}
        return answers

    def describe_topics(self, names: TopicCollection, **_: float) -> dict[str, Future[Any]]:
        partition = SimpleNamespace(leader=1, replicas=[1], isr=[1])
        known = self._brokers.described(self._count("described"))
        description = SimpleNamespace(partitions=[partition])
        return {name: _answer(description if name in known else UNKNOWN) for name in names.topic_names}

    def describe_configs(self, resources: list[ConfigResource], **_: float) -> dict[ConfigResource, Future[Any]]:
        known = self._brokers.configured(self._count("configured"))
        return {each: _answer({} if each.name in known else UNKNOWN) for each in resources}

    def list_topics(self, **_: float) -> SimpleNamespace:
        listed = {number: SimpleNamespace(host=host, port=1) for number, host in enumerate(self._brokers.knowledge)}
        if self._address == CONFIG["bootstrap.servers"]:
            return SimpleNamespace(brokers=listed)
        host = self._address.removesuffix(":1").strip("[]")
        known = self._brokers.knowledge[host](self._count(self._address))
        return SimpleNamespace(brokers=listed, topics=dict.fromkeys(known))

    def why(self, error: KafkaException) -> str:
        return str(error.args[0].str())

    def _count(self, question: str) -> int:
        self._brokers.questions[question] += 1
        return self._brokers.questions[question]


def _answer(value: Any) -> Future[Any]:
    answer: Future[Any] = Future()
    if isinstance(value, Exception):
        answer.set_exception(value)
    else:
        answer.set_result(value)
    return answer


def everything(_listing: int) -> set[str]:
    return NAMES


def raising(error: KafkaException) -> Callable[[int], set[str]]:
    def fail(_listing: int) -> set[str]:
        raise error

    return fail


@pytest.fixture
def cluster(monkeypatch) -> Callable[..., Brokers]:
    def start(**knowledge: Callable[[int], set[str]]) -> Brokers:
        brokers = Brokers(knowledge)
        monkeypatch.setattr(topic_admin, "QuietAdmin", partial(Client, brokers))
        return brokers

    return start


class TestCreate:
    """It returns when every broker that answers knows the topics."""

    def test_it_waits_for_the_last_broker_and_for_the_last_topic(self, cluster):
        steps = {1: set(), 2: NAMES - {TOPICS.rates.name}, 3: NAMES}
        brokers = cluster(b=everything, c=steps.__getitem__)
        assert set(create_topics(CONFIG, TOPICS)) == NAMES
        assert brokers.questions["c:1"] == 3

    def test_a_broker_that_does_not_answer_holds_nobody_up(self, cluster):
        brokers = cluster(b=everything, c=raising(SILENT))
        assert set(create_topics(CONFIG, TOPICS)) == NAMES
        assert (brokers.questions["b:1"], brokers.questions["c:1"]) == (1, 1)

    def test_one_that_never_hears_of_them_is_named(self, cluster):
        cluster(b=everything, c=lambda _: set())
        with pytest.raises(TopicsError, match=r"^c:1: does not know the new topics after 0 s: is it in touch"):
            create_topics(CONFIG, TOPICS, timeout_s=0)

    def test_one_that_refuses_is_named(self, cluster):
        cluster(b=everything, c=raising(FORBIDDEN))
        with pytest.raises(TopicsError, match=r"^c:1: "):
            create_topics(CONFIG, TOPICS)

    def test_an_address_of_ipv6_has_brackets(self, cluster):
        brokers = cluster(**{"::1": everything, "b": everything})
        create_topics(CONFIG, TOPICS)
        assert brokers.questions["[::1]:1"] == 1

    def test_a_single_broker_is_not_asked_again(self, cluster):
        brokers = cluster(b=everything)
        assert set(create_topics(CONFIG, TOPICS)) == NAMES
        assert "b:1" not in brokers.questions

    def test_a_request_whose_answer_is_lost_is_repeated_and_has_created_them(self, cluster):
        brokers = cluster(b=everything)
        brokers.lost_answers = 1
        assert set(create_topics(CONFIG, TOPICS)) == NAMES
        assert brokers.questions["created"] == 2

    def test_nobody_is_asked_when_nothing_was_missing(self, cluster):
        brokers = cluster(b=everything, c=everything)
        brokers.exist = set(NAMES)
        assert create_topics(CONFIG, TOPICS) == []
        assert not brokers.questions.keys() & {"b:1", "c:1"}


class TestFound:
    """Partitions and configuration come from two answers, which may be of two brokers."""

    def test_a_broker_that_has_not_heard_of_a_topic_yet_is_asked_again(self, cluster):
        brokers = cluster(b=everything)
        brokers.exist = set(NAMES)
        brokers.configured = lambda n: NAMES if n == 3 else NAMES - {TOPICS.progress.name}
        assert found_topics(CONFIG, TOPICS).keys() == NAMES
        assert brokers.questions["configured"] == 3

    def test_a_topic_that_is_deleted_meanwhile_is_not_found(self, cluster):
        brokers = cluster(b=everything)
        left = NAMES - {TOPICS.progress.name}
        brokers.described, brokers.configured = (lambda n: NAMES if n == 1 else left), lambda _: left
        assert found_topics(CONFIG, TOPICS).keys() == left
        brokers.questions["described"] = 0
        brokers.described, brokers.configured = (lambda n: NAMES if n == 1 else set()), lambda _: set()
        assert found_topics(CONFIG, TOPICS) == {}

    def test_brokers_that_never_agree_are_an_error_with_the_topic(self, cluster):
        brokers = cluster(b=everything)
        brokers.exist = set(NAMES)
        brokers.configured = lambda _: NAMES - {TOPICS.progress.name}
        with pytest.raises(TopicsError, match=r"^t\.progress: one broker knows it and another does not, after 0 s"):
            found_topics(CONFIG, TOPICS, timeout_s=0)
