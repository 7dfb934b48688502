"""On how many examples a property is tried: as many as its test says, a tenth of them in `make test-quick`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

USUAL = 100
"""Hypothesis' own number, where a test says none."""

# On a busy machine every example may take long: no test fails for that.
settings.register_profile("taskstream", max_examples=USUAL, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("taskstream"), max_examples=USUAL // 10)
settings.load_profile("taskstream")  # `--hypothesis-profile=quick` chooses the other, before a test is imported


def examples(usual: int) -> settings:
    """A decorator of a property: `usual` examples in a whole run."""
    return settings(max_examples=max(1, usual * settings.default.max_examples // USUAL))
