"""Token buckets a project."""

from __future__ import annotations

from taskstream.producer.admission.quota import MAX_PROJECTS, Quotas, quota_cost


def test_a_burst_passes_and_what_follows_waits():
    quotas = Quotas(per_s=10, burst=20)
    assert [quotas.consume("a", 1, 0.0) for _ in range(21)] == [0] * 20 + [1]


def test_the_bucket_fills_with_time():
    quotas = Quotas(per_s=10, burst=20)
    quotas.consume("a", 20, 0.0)
    assert quotas.consume("a", 10, 0.5) > 0
    assert quotas.consume("a", 10, 1.0) == 0


def test_the_wait_that_is_told_is_long_enough():
    quotas = Quotas(per_s=10, burst=20)
    quotas.consume("a", 20, 0.0)
    wait_s = quotas.consume("a", 15, 0.0)
    assert quotas.consume("a", 15, float(wait_s)) == 0


def test_projects_do_not_share():
    quotas = Quotas(per_s=1, burst=1)
    assert (quotas.consume("a", 1, 0.0), quotas.consume("b", 1, 0.0)) == (0, 0)


def test_more_than_a_bucket_holds_passes_when_it_is_full_and_is_owed():
    quotas = Quotas(per_s=10, burst=20)
    assert quotas.consume("a", 40, 0.0) == 0
    assert quotas.consume("a", 1, 2.0) == 1


def test_no_rate_means_no_limit():
    assert Quotas(per_s=0, burst=0).consume("a", 10**9, 0.0) == 0


def test_projects_that_paused_are_forgotten():
    quotas = Quotas(per_s=1, burst=1)
    for number in range(MAX_PROJECTS + 10):
        quotas.consume(str(number), 1, float(number))
    assert len(quotas._buckets) < 100


def test_a_clock_that_went_back_takes_nothing_away():
    quotas = Quotas(per_s=10, burst=10)
    quotas.consume("a", 1, 10.0)
    assert quotas.consume("a", 9, 5.0) == 0


def test_a_body_counts_as_its_reports_and_as_one_per_started_4096_bytes():
    assert [quota_cost(1, size) for size in (0, 1, 4_096, 4_097, 65_536)] == [1, 1, 1, 2, 16]
    assert quota_cost(1_000, 65_536) == 1_000
    assert quota_cost(1, 1_048_576) == 256
