"""What was claimed of an end, how far it was off, and the factor that is learnt from it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from taskstream.consumer.state.forecast.eta_claims import calibrated, claim_errors
from taskstream.consumer.state.series import NONE, ROW, Health

US = 1_000_000


def claimed(eta_s: float, took_s: float, width: float, health: Health = Health.COMPLETE) -> np.ndarray:
    """Rows of one series that claimed `eta_s` at half of its bytes, and ended `took_s` later."""
    rows = np.zeros(1, ROW)
    rows["claim_at"] = NONE
    rows["claim_at"][0, 0], rows["claim_eta_s"][0, 0], rows["claim_width"][0, 0] = 1_000 * US, eta_s, width
    rows["last_advance"], rows["health"] = round((1_000 + took_s) * US), int(health)
    return rows


def test_an_error_is_the_distance_in_half_widths_early_or_late() -> None:
    for took_s in (100.0 * math.exp(0.3), 100.0 * math.exp(-0.3)):
        errors = claim_errors(claimed(100.0, took_s, 0.2))
        assert errors[0, 0] == pytest.approx(1.5, rel=1e-5)
        assert math.isnan(errors[0, 1])


@pytest.mark.parametrize(
    "rows",
    [
        claimed(100.0, 100.0, 0.2, Health.OK),
        claimed(100.0, 0.5, 0.2),
        claimed(100.0, 100.0, 0.0),
        claimed(math.nan, 100.0, math.nan),
    ],
    ids=["not ended", "ended at once", "no width", "no ETA"],
)
def test_no_error_is_known_without_an_end_or_a_claim(rows: np.ndarray) -> None:
    assert np.isnan(claim_errors(rows)).all()


def test_nothing_is_learnt_from_few_claims() -> None:
    assert calibrated(np.full(19, 2.0)) == 1.0
    assert calibrated(np.full(20, 2.0)) == 2.0


def test_the_factor_is_the_conformal_quantile_within_its_bounds() -> None:
    dice = np.random.default_rng(7)
    errors = dice.permutation(np.arange(1, 100) / 50.0)
    assert calibrated(errors) == 80 / 50.0
    assert calibrated(errors * 100.0) == 3.0
    assert calibrated(errors / 100.0) == 0.4


def test_calibrated_intervals_hold_four_of_five_of_claims_not_seen() -> None:
    dice = np.random.default_rng(11)
    held = []
    for _ in range(400):
        errors = dice.gamma(2.0, 0.5, 41)
        held.append(errors[40] <= calibrated(errors[:40]))
    assert 0.74 < np.mean(held) < 0.88
