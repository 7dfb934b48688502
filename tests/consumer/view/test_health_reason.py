"""The sentence that explains a health, with the numbers that decided it."""

from __future__ import annotations

import numpy as np
import pytest

from taskstream.consumer.state.series import ROW, EtaReason, Health
from taskstream.consumer.view.json.health_reason import health_reason
from taskstream.consumer.view.json.quantities import duration_text, rate_text, size_text
from tests.consumer.view.read_models import NOW, row
from tests.consumer.view.views import MB, S

MINUTE_US = 60 * S


def said(health: Health, **columns) -> str:
    held = row(**columns)[0]
    return health_reason(health, dict(zip(ROW.names, held.tolist(), strict=True)), NOW, MINUTE_US)


def test_silent_says_for_how_long_and_the_limit_that_was_passed():
    assert said(Health.SILENT, last_seen=NOW - 312 * S) == "no report for 5 min 12 s (limit 1 min)"


def test_an_agent_that_reports_rarely_has_a_longer_limit():
    assert said(Health.SILENT, last_seen=NOW - 312 * S, quiet_limit_s=150.0).endswith("(limit 2 min 30 s)")


def test_no_progress_says_that_reports_do_come():
    assert said(Health.NO_PROGRESS, last_advance=NOW - 90 * S) == (
        "no bytes for 1 min 30 s (limit 1 min), though reports arrive"
    )


def test_slow_says_how_much_is_left_of_the_rate():
    assert said(Health.SLOW, trend_change_pct=-68.2, rate_fast_bps=3.2 * MB) == (
        "the last 5 min at 32 % of the rate before, now 3.2 MB/s"
    )


def test_slow_names_the_rate_that_it_fell_from():
    before = np.log(10.0 * MB * 60)
    assert said(Health.SLOW, slow_baseline=before, rate_fast_bps=2.0 * MB) == "2 MB/s, 20 % of the 10 MB/s before"


def test_complete_says_how_long_it_took():
    assert said(Health.COMPLETE, first_seen=NOW - 600 * S, health_since=NOW - 60 * S) == "done in 9 min"


def test_ok_says_the_rate_and_when_there_will_be_a_trend():
    assert said(Health.OK) == "10 MB/s over 1 min"
    assert said(Health.OK, trend=0, complete_minutes=3) == "10 MB/s, a trend in 5 min"
    assert said(Health.OK, rate_fast_bps=np.nan) == "no rate measured yet"


@pytest.mark.parametrize("health", [Health.OK, Health.SLOW])
def test_a_total_that_grows_as_fast_as_the_copy_is_said_with_its_rate(health):
    text = said(health, eta_reason=EtaReason.NOT_CONVERGING, growth_bps=12.0 * MB)
    assert text.endswith("; the total grows as fast as the copy, by 12 MB/s")


@pytest.mark.parametrize("health", list(Health))
def test_there_is_a_reason_for_every_health_and_it_has_no_full_stop(health):
    text = said(health)
    assert text
    assert not text.endswith(".")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (0.02, "0.02 s"),
        (1, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (3_600, "1 h"),
        (3_601, "1 h"),
        (3_660, "1 h 1 min"),
        (90_061, "1 d 1 h"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (999_499, "999 kB"),
        (999_600, "1 MB"),
        (12_345_678, "12.3 MB"),
        (5e12, "5 TB"),
        (5e15, "5000 TB"),
    ],
)
def test_bytes_are_told_with_three_digits(count, text):
    assert size_text(count) == text


def test_a_rate_that_is_none_is_told_as_none():
    assert rate_text(float("nan")) == "no rate"
    assert rate_text(0.0) == "0 B/s"
