"""Workers that are behind the reports: what is said of it, and that no task is called silent because of them."""

from __future__ import annotations

import asyncio

import pytest

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.consumer_groups import PartitionLag
from taskstream.consumer.state.series import Health
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.view.follow.follower import Follower
from taskstream.consumer.view.follow.pipeline_watch import PipelineWatch
from taskstream.consumer.view.http.application import View
from taskstream.consumer.view.json.fleet_json import fleet_json
from taskstream.consumer.view.json.pipeline_json import pipeline_json, pipeline_text
from taskstream.consumer.view.json.task_json import task_detail, task_summary
from taskstream.consumer.view.read_model.pipeline_lag import STALE_S, PipelineLag, UnreadReports, pipeline_lag
from taskstream.consumer.view.read_model.read_model import ReadModel
from tests.consumer.view.read_models import NOW, model, row
from tests.consumer.view.test_upkeep import Breaks, Everybody, Records, answers
from tests.consumer.view.views import S

KEY = "project-1/t-1/MIGRATE_LINUX_FILE"


def unread(age_s: float, records: int = 7, asked_s: float = 0.0) -> UnreadReports:
    """An answer of `asked_s` ago, by which the first unread report was `age_s` old."""
    asked_at = NOW - round(asked_s * S)
    return UnreadReports(asked_at, records, asked_at - round(age_s * S))


def test_nothing_is_known_before_the_first_answer_and_nothing_is_said():
    lag = pipeline_lag(None, NOW, 15.0)
    assert (lag.behind_s, lag.judged_at(NOW), pipeline_text(lag, NOW)) == (None, NOW, None)


def test_workers_that_have_read_everything_are_not_behind():
    lag = pipeline_lag(UnreadReports(NOW), NOW, 15.0)
    assert pipeline_json(lag, NOW) == {"behind_s": 0.0, "records_behind": 0, "as_of_ms": None, "text": None}
    assert lag.judged_at(NOW) == NOW


@pytest.mark.parametrize(("age_s", "too_far"), [(0.3, False), (15.0, False), (15.1, True), (3600.0, True)])
def test_the_limit_decides_whether_it_is_said(age_s, too_far):
    lag = pipeline_lag(unread(age_s), NOW, 15.0)
    shown = pipeline_json(lag, NOW)
    assert (shown["text"] is not None, shown["as_of_ms"] is not None) == (too_far, too_far)
    assert (shown["behind_s"], shown["records_behind"]) == (age_s, 7)


def test_health_is_as_of_the_first_unread_report_and_never_later_than_now():
    assert pipeline_lag(unread(240.0), NOW, 15.0).judged_at(NOW) == NOW - 240 * S
    assert pipeline_lag(unread(-5.0), NOW, 15.0).judged_at(NOW) == NOW
    assert pipeline_lag(unread(-5.0), NOW, 15.0).behind_s == 0.0


@pytest.mark.parametrize(
    ("age_s", "says"),
    [
        (240.0, "reports are arriving, the workers are 4 min behind: health is as of 11:56 UTC"),
        (16.0, "reports are arriving, the workers are 16 s behind: health is as of 11:59 UTC"),
        (86_400.0, "reports are arriving, the workers are 1 d behind: health is as of 2026-11-22 12:00 UTC"),
    ],
)
def test_one_sentence_says_how_far_and_as_of_when(age_s, says):
    assert pipeline_text(pipeline_lag(unread(age_s), NOW, 15.0), NOW) == says


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (UnreadReports(NOW, problem="Broker: Group authorization failed"), "Group authorization failed"),
        (unread(240.0, asked_s=STALE_S + 1), "Kafka has not answered for 61 s"),
    ],
)
def test_a_question_without_an_answer_is_said_and_health_is_as_of_now(answer, reason):
    lag = pipeline_lag(answer, NOW, 15.0)
    assert lag.judged_at(NOW) == NOW
    shown = pipeline_json(lag, NOW)
    assert (shown["behind_s"], shown["records_behind"], shown["as_of_ms"]) == (None, None, None)
    assert shown["text"].startswith("it is unknown how far the workers are behind the reports: ")
    assert reason in shown["text"]


def test_a_task_is_not_silent_because_its_reports_are_unread():
    made = model({KEY: row(last_seen=NOW - 250 * S)})
    task = made.tasks.find("project-1", "t-1")
    assert Health(int(made.health[task])) == Health.SILENT
    made.pipeline = pipeline_lag(unread(240.0), NOW, 15.0)
    made.update_health(NOW)
    assert task_summary(made, task, NOW)["health"] == "OK"
    assert [each["health"] for each in task_detail(made, task, (), NOW)["subtasks"]] == ["OK"]
    assert fleet_json(made, made.tasks.live, made.judged_at(NOW))["oldest_silence_s"] == 10.0
    made.pipeline = pipeline_lag(unread(260.0), NOW, 15.0)  # as of a time before the last report
    assert fleet_json(made, made.tasks.live, made.judged_at(NOW))["oldest_silence_s"] == 0.0
    made.pipeline = PipelineLag(0.0, 0)
    made.update_health(NOW)
    assert task_summary(made, task, NOW)["health"] == "SILENT"


class Question:
    """Answers with these lags, one after another, the last for ever; an error is raised."""

    def __init__(self, *found) -> None:
        self._found = list(found)

    def unread(self, group: str, topic: str) -> list[PartitionLag]:
        found = self._found.pop(0) if len(self._found) > 1 else self._found[0]
        if isinstance(found, Exception):
            raise found
        return [PartitionLag(group, topic, 0, None, 9, *found, None)]


def watched_view(*found) -> View:
    watch = PipelineWatch(Question(*found), "g", "progress", 15.0, lambda: NOW, 0.01)
    followers = (Follower(Records(), Breaks()), Follower(Records(), Breaks()))
    return View(ReadModel(Settings()), *followers, Everybody(), lambda: NOW, watch)


def test_the_view_stays_ready_and_says_how_far_the_workers_are_behind():
    view = watched_view((4, 0, NOW // 1000 - 240_000))
    found = asyncio.run(answers(view, "/readyz", "/tasks", "/fleet"))
    assert [status for status, _ in found] == [200, 200, 200]
    text = "reports are arriving, the workers are 4 min behind: health is as of 11:56 UTC"
    expected = {"behind_s": 240.0, "records_behind": 4, "as_of_ms": NOW // 1000 - 240_000, "text": text}
    assert [document["pipeline"] for _, document in found] == [expected] * 3
    assert found[0][1]["checks"]["workers"] == text


def test_a_failed_question_leaves_the_view_alive():
    for failure in (KafkaFailed("no answer"), ZeroDivisionError("a mistake")):
        alive, ready = asyncio.run(answers(watched_view(failure), "/healthz", "/readyz"))
        assert (alive[0], ready[0]) == (200, 200)
        assert str(failure) in ready[1]["pipeline"]["text"]
