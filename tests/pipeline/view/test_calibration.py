"""`taskstream calibration` and GET /calibration on a running view: how often foretold ends kept within their intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
from click.testing import CliRunner, Result

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.state.series import Health
from tests.consumer.view.views import RunningView, S, new_state_topic, now_us, running_view, series

ETA_S, WIDTH = 1_000.0, 0.1
SUBTASK = "MIGRATE_LINUX_FILE"


def ended(error: float) -> np.ndarray:
    """A complete series that ended `error` half-widths later than it claimed at half of its bytes."""
    row = series(now_us(), health=int(Health.COMPLETE), progress=100, last_advance=now_us())
    row["claim_at"] = -1
    row["claim_at"][0, 0] = now_us() - round(ETA_S * math.exp(error * WIDTH) * S)
    row["claim_eta_s"][0, 0], row["claim_width"][0, 0] = ETA_S, WIDTH
    return row


@pytest.fixture(scope="module")
def view(broker: KafkaClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningView]:
    topic = new_state_topic(broker)
    topic.put({f"project-1/late-{number}/{SUBTASK}": ended(2.0) for number in range(15)})
    topic.put({f"project-1/good-{number}/{SUBTASK}": ended(0.5) for number in range(15)})
    topic.put({f"project-2/one/{SUBTASK}": ended(0.5)})
    low, high = ETA_S * math.exp(-WIDTH), ETA_S * math.exp(WIDTH)
    topic.put({f"project-1/new/{SUBTASK}": series(now_us(), eta_s=ETA_S, eta_low_s=low, eta_high_s=high)})
    with running_view(broker, topic.topics.prefix, tmp_path_factory.mktemp("view")) as running:
        yield running


def run(view: RunningView, *arguments: str, whose: str = "operator") -> Result:
    env = {"TASKSTREAM_CALIBRATION_ENDPOINT": view.url, "TASKSTREAM_CALIBRATION_TOKEN": view.tokens[whose]}
    return CliRunner().invoke(cli, ["calibration", *arguments], env=env)


def test_it_prints_how_often_intervals_held_by_project_and_subtask(view):
    lines = run(view).stdout.splitlines()
    assert lines[0].split() == ["PROJECT", "SUBTASK", "CLAIMS", "HELD", "CORRECTED", "FACTOR"]
    assert lines[1].split() == ["project-1", SUBTASK, "30", "50", "%", "100", "%", "2.0"]
    assert lines[2].split()[:5] == ["project-2", SUBTASK, "1", "100", "%"]
    assert [each["claims"] for each in json.loads(run(view, "-o", "json").stdout)] == [30, 1]


def test_a_project_sees_its_own_and_no_other(view):
    found = json.loads(run(view, "-o", "json", whose="reader").stdout)
    assert {each["project_id"] for each in found} <= {"project-1"}
    refused = run(view, "--project", "project-2", whose="reader")
    assert refused.exit_code != 0
    assert "project" in refused.stderr
    assert "Traceback" not in refused.output


def test_the_end_of_a_running_task_is_shown_with_the_corrected_interval(view):
    shown = view.shown("/tasks/new")
    low, middle, high = (shown[name] for name in ("ends_from_ms", "ends_at_ms", "ends_to_ms"))
    last_ms = shown["last_seen_ms"]
    assert (middle - last_ms) / 1000 == pytest.approx(ETA_S, rel=1e-3)
    assert (low - last_ms) / 1000 == pytest.approx(ETA_S * math.exp(-2 * WIDTH), rel=1e-2)
    assert (high - last_ms) / 1000 == pytest.approx(ETA_S * math.exp(2 * WIDTH), rel=1e-2)
