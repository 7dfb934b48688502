"""The breaker: a share of what was read lately, and never a few records alone."""

from __future__ import annotations

from taskstream.consumer.worker.reject_breaker import RejectBreaker


def test_a_batch_that_is_mostly_unreadable_trips_it():
    assert RejectBreaker(share=0.5).trips(1_000, 501)


def test_the_share_itself_does_not_trip_it():
    assert not RejectBreaker(share=0.5).trips(1_000, 500)


def test_a_few_unreadable_records_do_not_trip_it_though_they_are_all():
    assert not RejectBreaker(least=100).trips(99, 99)


def test_small_batches_add_up():
    breaker = RejectBreaker(least=100)
    assert [breaker.trips(10, 10) for _ in range(10)] == [False] * 9 + [True]


def test_what_was_read_long_ago_does_not_count():
    breaker = RejectBreaker(share=0.5, window=1_000)
    breaker.trips(100_000, 0)
    assert not breaker.trips(500, 499)
    assert breaker.trips(500, 499)


def test_a_share_of_one_never_trips():
    assert not any(RejectBreaker(share=1.0).trips(1_000, 1_000) for _ in range(10))
