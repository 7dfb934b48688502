"""What the errors of librdkafka's producer mean for a transaction; the producer does what the test says."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from taskstream.consumer.errors import CallUnanswered, ConsumerError, KafkaFailed, ProducerLost, TransactionAborted
from taskstream.consumer.kafka.transaction import Transaction

FATAL = KafkaError(KafkaError._FENCED, "fenced", fatal=True)
ABORTABLE = KafkaError(KafkaError._TIMED_OUT, "timed out", txn_requires_abort=True)
RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "timed out", retriable=True)
OTHER = KafkaError(KafkaError._STATE, "state")


class ScriptedProducer:
    """Raises the errors scheduled for a call, one per call, and notes what is called."""

    def __init__(self, errors: dict[str, list[KafkaError]]) -> None:
        self._errors = errors
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> int:
            self.calls.append(name)
            if errors := self._errors.get(name):
                raise KafkaException(errors.pop(0))
            return 0

        return call


class NoWatch:
    """Calls may block as long as they like."""

    @contextlib.contextmanager
    def watch(self, *_: object) -> Iterator[None]:
        yield


class Producers:
    """Builds the producers of one transaction; the errors are those of the first."""

    def __init__(self, **errors: list[KafkaError]) -> None:
        self._errors = errors
        self.built: list[ScriptedProducer] = []

    def __call__(self, *_: object) -> Any:
        self.built.append(ScriptedProducer({} if self.built else self._errors))
        return self.built[-1]

    def transaction(self) -> Transaction:
        return Transaction({}, "id", NoWatch(), self)


def commit(transaction: Transaction) -> None:
    transaction.send("topic", "key", b"value")
    transaction.commit("topic", {0: 1}, object())


@pytest.mark.parametrize(
    ("call", "error", "expected"),
    [
        ("produce", FATAL, ProducerLost),
        ("produce", ABORTABLE, TransactionAborted),
        ("produce", OTHER, TransactionAborted),
        ("send_offsets_to_transaction", FATAL, ProducerLost),
        ("send_offsets_to_transaction", ABORTABLE, TransactionAborted),
        ("send_offsets_to_transaction", OTHER, ProducerLost),
        ("commit_transaction", FATAL, ProducerLost),
        ("commit_transaction", ABORTABLE, TransactionAborted),
        ("commit_transaction", OTHER, ProducerLost),
        ("begin_transaction", FATAL, ProducerLost),
        ("begin_transaction", OTHER, KafkaFailed),
    ],
)
def test_an_error_of_a_call_has_one_meaning(call: str, error: KafkaError, expected: type[ConsumerError]):
    producers = Producers(**{call: [error]})
    with producers.transaction() as transaction, pytest.raises(expected, match=call):
        commit(transaction)


@pytest.mark.parametrize("error", [FATAL, ABORTABLE, OTHER])
def test_a_producer_that_cannot_abort_is_lost(error):
    with Producers(abort_transaction=[error]).transaction() as transaction:
        transaction.begin()
        with pytest.raises(ProducerLost, match="abort_transaction"):
            transaction.abort()


def test_a_fatal_error_that_polling_raises_loses_the_producer():
    """librdkafka raises it once, in whichever call serves its events."""
    with Producers().transaction() as transaction:
        transaction.begin()
        transaction._producer._errors["poll"] = [FATAL]
        with pytest.raises(ProducerLost, match="poll"):
            transaction.send_many("topic", ["key"], [b"value"], [[]])


@pytest.mark.parametrize("call", ["poll", "commit_transaction"])
def test_a_client_that_lost_its_fatal_error_is_a_lost_producer(call: str):
    """confluent-kafka raises SystemError when it calls back while its fatal error waits to be raised."""
    producers = Producers()
    with producers.transaction() as transaction:
        transaction.send("topic", "key", b"value")

        def lose(*_: object) -> None:
            raise SystemError("returned a result with an exception set")

        setattr(producers.built[0], call, lose)
        with pytest.raises(ProducerLost, match="fatal"):
            transaction.commit("topic", {0: 1}, object())
        transaction.renew()
        commit(transaction)
    assert len(producers.built) == 2


def test_a_call_that_can_be_repeated_is_repeated():
    producers = Producers(commit_transaction=[RETRIABLE, RETRIABLE])
    with producers.transaction() as transaction:
        commit(transaction)
    assert producers.built[0].calls.count("commit_transaction") == 3


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction", "abort_transaction"])
@pytest.mark.parametrize(("seconds", "producers"), [(0.1, 1), (0.4, 2)])
def test_a_producer_that_may_have_sent_a_request_twice_makes_no_further_transaction(
    call: str, seconds: float, producers: int
):
    now_s = 0.0
    built = Producers()

    def new_producer(config: object) -> Any:
        made = built(config)

        def slow(*_: object) -> None:
            nonlocal now_s
            now_s += seconds

        setattr(made, call, slow)
        return made

    with Transaction({}, "id", NoWatch(), new_producer, clock=lambda: now_s) as transaction:
        transaction.send("topic", "key", b"first")
        if call == "abort_transaction":
            transaction.abort()
        else:
            transaction.commit("topic", {0: 1}, object())
        assert len(built.built) == 1
        transaction.send("topic", "key", b"second")
        transaction.send("topic", "key", b"third")
    assert len(built.built) == producers


def test_a_call_that_was_repeated_at_once_may_have_sent_its_request_twice():
    times_s = iter(range(1000))
    producers = Producers(commit_transaction=[RETRIABLE])
    with Transaction(
        {}, "id", NoWatch(), producers, clock=lambda: next(times_s) * 0.2, sleep=lambda _: None
    ) as transaction:
        commit(transaction)
        commit(transaction)
    assert len(producers.built) == 2


def test_a_lost_producer_is_replaced_although_closing_it_raises_its_error_again():
    producers = Producers(commit_transaction=[FATAL], abort_transaction=[FATAL], purge=[FATAL], close=[FATAL])
    with producers.transaction() as transaction:
        with pytest.raises(ProducerLost):
            commit(transaction)
        transaction.renew()
        commit(transaction)
    first, second = producers.built
    assert first.calls[-3:] == ["abort_transaction", "purge", "close"]
    assert "commit_transaction" in second.calls


def test_a_call_that_does_not_return_loses_its_producer_which_is_not_closed_meanwhile():
    returns = threading.Event()
    producers = Producers()
    with Transaction({}, "id", NoWatch(), producers, limit_s=0.5) as transaction:
        transaction.begin()
        producers.built[0].send_offsets_to_transaction = lambda *_: returns.wait(60)
        with pytest.raises(ProducerLost, match="send_offsets_to_transaction: it did not return within"):
            transaction.commit("topic", {0: 1}, object())
        transaction.renew()
        commit(transaction)
        assert producers.built[0].calls[-1] == "poll"
        assert "commit_transaction" in producers.built[1].calls
    returns.set()


def test_a_lost_producer_is_replaced_by_one_whose_initialisation_returns():
    returns = threading.Event()
    producers = Producers()
    waited = []

    def waiting(what: str, _: KafkaError) -> None:
        waited.append(what)
        returns.set()

    def new_producer(config: object) -> Any:
        built = producers(config)
        if len(producers.built) == 2:
            built.init_transactions = lambda *_: returns.wait(60)
        return built

    with Transaction({}, "id", NoWatch(), new_producer, waiting=waiting, limit_s=0.5) as transaction:
        transaction.renew()
        commit(transaction)
    assert waited == ["init_transactions"]
    assert "commit_transaction" in producers.built[2].calls


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction", "abort_transaction"])
def test_a_producer_whose_call_is_never_done_is_lost_and_not_waited_for_without_end(call: str):
    """It may have forgotten all brokers, and then says the same for ever."""
    now_s, waited = 0.0, []
    producers = Producers(**{call: [RETRIABLE] * 100})

    def waiting(what: str, _: KafkaError) -> None:
        nonlocal now_s
        now_s += 10.0
        waited.append(what)

    with Transaction({}, "id", NoWatch(), producers, clock=lambda: now_s, waiting=waiting) as transaction:
        transaction.send("topic", "key", b"value")
        end = (
            transaction.abort if call == "abort_transaction" else partial(transaction.commit, "topic", {0: 1}, object())
        )
        with pytest.raises(CallUnanswered, match=f"{call}: timed out; tried for 30 s"):
            end()
        assert waited == [call] * 4
        transaction.renew()
        commit(transaction)
    assert producers.built[0].calls[-2:] == ["purge", "close"]
    assert "commit_transaction" in producers.built[1].calls


def test_a_new_producer_that_is_never_initialised_is_replaced_too():
    now_s, waited = 0.0, []
    producers = Producers()

    def new_producer(config: object) -> Any:
        built = producers(config)
        if len(producers.built) == 2:
            built._errors["init_transactions"] = [RETRIABLE] * 100
        return built

    def waiting(what: str, _: KafkaError) -> None:
        nonlocal now_s
        now_s += 10.0
        waited.append(what)

    with Transaction({}, "id", NoWatch(), new_producer, clock=lambda: now_s, waiting=waiting) as transaction:
        transaction.renew()
        commit(transaction)
    assert waited == ["init_transactions"] * 5
    assert producers.built[1].calls[-2:] == ["purge", "close"]
    assert "commit_transaction" in producers.built[2].calls


def test_leaving_aborts_what_is_open_and_only_then():
    producers = Producers()
    with producers.transaction() as transaction:
        commit(transaction)
    assert "abort_transaction" not in producers.built[0].calls
    producers = Producers()
    with producers.transaction() as transaction:
        transaction.send("topic", "key", b"value")
    assert producers.built[0].calls[-3:] == ["abort_transaction", "purge", "close"]


def test_a_transaction_that_is_not_open_cannot_be_used():
    with pytest.raises(RuntimeError, match="not open"):
        Producers().transaction().begin()
