"""What to do: a sentence for each trouble, and none without."""

from __future__ import annotations

import pytest

from taskstream.consumer.state.series import EtaReason, Health
from taskstream.consumer.view.json.health_remedy import health_remedy


@pytest.mark.parametrize("health", Health)
def test_every_trouble_has_something_to_do_and_nothing_else_has(health: Health) -> None:
    is_trouble = health in (Health.SILENT, Health.NO_PROGRESS, Health.SLOW)
    assert (health_remedy(health, EtaReason.NONE, 50) is not None) == is_trouble


def test_a_copy_that_does_not_converge_has_something_to_do_though_it_moves() -> None:
    assert "writes on the source" in str(health_remedy(Health.OK, EtaReason.NOT_CONVERGING, 50))


def test_the_advice_depends_on_where_the_task_is() -> None:
    between, within = (health_remedy(Health.SILENT, EtaReason.SILENT, percent) for percent in (100, 50))
    assert "next subtask" in str(between)
    assert "agent" in str(within)
    assert "trace" in str(health_remedy(Health.NO_PROGRESS, EtaReason.CHECKING, 99))
