"""Repeating requests to Kafka: what may pass is repeated within a limit, and nothing else is."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.kafka_errors import is_passing, is_repeatable
from taskstream.consumer.kafka.retry import RetryLimit, call_transaction, retry, with_retry
from tests.consumer.kafka.fakes import Clock


def failing(times: int, error: KafkaError):
    """A question that fails so often, and is then answered with how often it was asked."""
    asked = []

    def ask() -> int:
        asked.append(1)
        if len(asked) <= times:
            raise KafkaException(error)
        return len(asked)

    return ask


def test_what_passes_is_waited_for():
    clock = Clock()

    assert with_retry("offsets", failing(2, KafkaError(KafkaError._TRANSPORT)), clock=clock, sleep=clock.sleep) == 3
    assert clock.slept == [0.2, 0.2]


def test_what_does_not_pass_in_time_says_what_was_asked_and_what_to_look_at():
    clock = Clock()
    ask = failing(1_000, KafkaError(KafkaError._TIMED_OUT))

    with pytest.raises(KafkaFailed, match=r"^offsets: tried for 5 s: .*: is Kafka up, and its address right\?$"):
        with_retry("offsets", ask, RetryLimit(5.0), clock=clock, sleep=clock.sleep)
    assert 5.0 < clock.now_s < 5.5


def test_what_cannot_pass_is_not_asked_again():
    ask = failing(1, KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaFailed, match="authorization"):
        with_retry("offsets", ask)
    assert ask() == 2


def test_the_caller_explains_an_error_that_did_not_pass_and_it_is_the_cause():
    clock = Clock()
    with pytest.raises(KafkaFailed, match=r"^offsets: tried for 0 s: because of this$") as failed:
        with_retry(
            "offsets",
            failing(9, KafkaError(KafkaError._TRANSPORT)),
            RetryLimit(0.0),
            why=lambda _error: "because of this",
            clock=clock,
            sleep=clock.sleep,
        )
    assert failed.value.__cause__.args[0].code() == KafkaError._TRANSPORT


def test_a_topic_that_is_unknown_for_a_moment_is_asked_for_again():
    clock = Clock()
    unknown = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    assert with_retry("offsets", failing(3, unknown), clock=clock, sleep=clock.sleep) == 4


def test_the_loop_raises_the_last_error_as_it_was():
    clock = Clock()
    with pytest.raises(KafkaException) as failed:
        retry(failing(9, KafkaError(KafkaError._TIMED_OUT)), is_passing, RetryLimit(attempts=3), clock, clock.sleep)
    assert failed.value.args[0].code() == KafkaError._TIMED_OUT
    assert clock.slept == [0.2, 0.2]


def test_a_transactional_call_is_repeated_while_librdkafka_says_so():
    call = failing(3, KafkaError(KafkaError._TIMED_OUT, retriable=True))
    call_transaction("commit_transaction", call)
    assert call() == 5


def test_a_transactional_call_is_made_four_times_at_most():
    call = failing(9, KafkaError(KafkaError._TIMED_OUT, retriable=True))
    with pytest.raises(KafkaFailed, match=r"^commit_transaction: .*: run it again$"):
        call_transaction("commit_transaction", call)
    with pytest.raises(KafkaException):  # the fifth one
        call()


@pytest.mark.parametrize(
    "error",
    [
        KafkaError(KafkaError.INVALID_TXN_STATE),
        KafkaError(KafkaError._TIMED_OUT, retriable=True, txn_requires_abort=True),
        KafkaError(KafkaError._FENCED, fatal=True),
    ],
)
def test_a_transactional_call_that_must_be_aborted_is_made_once(error):
    call = failing(1, error)
    with pytest.raises(KafkaFailed):
        call_transaction("send_offsets_to_transaction", call)
    assert call() == 2


def test_a_transactional_call_can_be_bounded_by_time_instead():
    clock = Clock()
    call = failing(10, KafkaError(KafkaError._TIMED_OUT, retriable=True))
    assert retry(call, is_repeatable, RetryLimit(60.0, pause_s=0.1), clock, clock.sleep) == 11
