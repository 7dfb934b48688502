"""What the view learns from the ends of complete series, and how it corrects the intervals that it shows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from taskstream.consumer.state.forecast.eta_claims import calibrated, held_apart
from taskstream.consumer.state.series import Health
from taskstream.consumer.view.json.task_json import task_summary
from tests.consumer.view.read_models import NOW, changes, model, names, row

S = 1_000_000
ETA_S = 1_000.0


def ended(error: float, width: float = 0.1) -> np.ndarray:
    """A complete series that was `error` half-widths late on what it claimed at half of its bytes."""
    found = row(health=int(Health.COMPLETE), progress=100, last_advance=NOW)
    found["claim_at"][0, 0] = NOW - round(ETA_S * math.exp(error * width) * S)
    found["claim_eta_s"][0, 0], found["claim_width"][0, 0] = ETA_S, width
    return found


def running(width: float = 0.1) -> np.ndarray:
    return row(eta_s=ETA_S, eta_low_s=ETA_S * math.exp(-width), eta_high_s=ETA_S * math.exp(width), last_seen=NOW)


def bounds_s(made, task_id: str) -> tuple[float, float]:
    task = made.tasks.find("p", task_id)
    shown = task_summary(made, task, NOW)
    return tuple((shown[name] - NOW / 1000) / 1000 for name in ("ends_from_ms", "ends_to_ms"))


def test_intervals_are_widened_by_what_the_projects_past_says() -> None:
    past = {f"p/t{number}/S": ended(2.0) for number in range(20)}
    made = model(past | {"p/new/S": running()})
    low_s, high_s = bounds_s(made, "new")
    assert low_s == pytest.approx(ETA_S * math.exp(-0.2), rel=1e-3)
    assert high_s == pytest.approx(ETA_S * math.exp(0.2), rel=1e-3)


def test_nothing_is_corrected_without_a_past_and_another_projects_past_serves_where_ones_own_is_short() -> None:
    made = model({"p/new/S": running(), "p/one/S": ended(0.5)})
    assert bounds_s(made, "new") == pytest.approx((ETA_S * math.exp(-0.1), ETA_S * math.exp(0.1)), rel=1e-3)
    made.apply(changes({f"q/t{number}/S": ended(2.0) for number in range(20)}), NOW)
    assert bounds_s(made, "new")[1] == pytest.approx(ETA_S * math.exp(0.2), rel=1e-3)
    made.apply(changes({f"q/t{number}/OTHER": ended(3.0) for number in range(40)}), NOW)
    assert bounds_s(made, "new")[1] == pytest.approx(ETA_S * math.exp(0.2), rel=1e-3)


def test_a_series_counts_once_and_is_forgotten_when_it_is_dropped_or_begins_anew() -> None:
    past = {f"p/t{number}/S": ended(2.0) for number in range(21)}
    made = model(past)
    made.apply(changes(past), NOW)
    assert [each.claims for each in made.calibration.past("p")] == [21]
    made.apply(changes({}, dropped=["p/t0/S"]), NOW)
    made.apply(changes({"p/t1/S": running()}), NOW)
    assert [each.claims for each in made.calibration.past(None)] == [19]
    assert made.calibration.factor("p", "S") == 1.0
    assert made.calibration.past("q") == []
    assert names(made, made.tasks.live)


def test_held_apart_is_what_leaving_each_claim_out_gives() -> None:
    dice = np.random.default_rng(3)
    for count in (5, 21, 22, 57, 100):
        errors = dice.gamma(2.0, 0.6, count)
        others = [np.delete(errors, place) for place in range(count)]
        expected = sum(error <= calibrated(rest) for error, rest in zip(errors, others, strict=True))
        assert held_apart(errors) == expected
