"""The view on a real broker: what it reads back, for whom, and that the official SDK understands it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdksms.v3 import ListTasksRequest, ShowTaskRequest, SmsClient

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.state_records import state_batch
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics
from tests.consumer.view.views import MB, RunningView, S, StateTopic, new_state_topic, now_us, running_view, series
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    now = now_us()
    topic.put(
        {
            "project-1/t-1/CREATE_CLOUD_SERVER": series(
                now,
                progress=100,
                health=3,
                first_seen=now - 900 * S,
                last_seen=now - 610 * S,
                health_since=now - 610 * S,
            ),
            "project-1/t-1/MIGRATE_LINUX_FILE": series(now, remain_time=777, migrate_speed=80.5, need_migration_test=1),
            "project-1/t/2/SYNC_LINUX_FILE": series(now, first_seen=now - 500 * S),
            "project-1/t-3/CONFIGURE_LINUX": series(
                now,
                progress=100,
                health=3,
                first_seen=now - 400 * S,
                last_seen=now - 300 * S,
                health_since=now - 300 * S,
            ),
            "project-2/t-1/MIGRATE_LINUX_FILE": series(now, replicatesize=7 * MB),
        },
        {"project-1/t-1/MIGRATE_LINUX_FILE": "<b>copying</b> /srv"},
    )
    return topic


def sdk(view: RunningView, whose: str) -> SmsClient:
    """The official client, unmodified but for one header more on each request."""
    client = (
        SmsClient.new_builder()
        .with_credentials(BasicCredentials("ak", "sk", "project-1"))
        .with_endpoint(view.url)
        .build()
    )
    send = client.do_http_request

    def with_token(*args, header_params=None, **kwargs):
        return send(*args, header_params={**(header_params or {}), "X-Auth-Token": view.tokens[whose]}, **kwargs)

    client.do_http_request = with_token
    return client


def test_the_official_sdk_shows_a_task_with_its_subtasks_in_time_order(view):
    task = sdk(view, "reader").show_task(ShowTaskRequest("t-1"))
    assert (task.id, task.project_id, task.state, task.connected) == ("t-1", "project-1", "RUNNING", True)
    assert [each.name for each in task.sub_tasks] == ["CREATE_CLOUD_SERVER", "MIGRATE_LINUX_FILE"]
    assert [each.progress for each in task.sub_tasks] == [100, 50]
    assert task.sub_tasks[1].process_trace == "<b>copying</b> /srv"
    assert (task.remain_seconds, task.migrate_speed, task.need_migration_test) == (777, 80.5, True)
    assert task.sub_tasks[0].end_date - task.start_date == 290_000
    assert task.estimate_complete_time == (now_us() - S) // 1000 + 600_000


def test_the_official_sdk_lists_the_tasks_of_its_project_the_newest_first(view):
    answer = sdk(view, "reader").list_tasks(ListTasksRequest())
    assert answer.count == 3
    states = [(each.id, each.state) for each in answer.tasks]
    assert states == [("t-3", "MIGRATE_SUCCESS"), ("t/2", "SYNCING"), ("t-1", "RUNNING")]


def test_the_official_sdk_is_told_what_it_did_wrong(view):
    with pytest.raises(ClientRequestException) as caught:
        sdk(view, "reader").list_tasks(ListTasksRequest(limit=201))
    assert caught.value.status_code == 400
    assert "limit" in caught.value.error_msg
    assert caught.value.request_id
    with pytest.raises(ClientRequestException) as caught:
        sdk(view, "reader").show_task(ShowTaskRequest("nowhere"))
    assert caught.value.status_code == 404


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("state=SYNCING", ["t/2"]),
        ("id=t-1", ["t-1"]),
        ("name=t-", ["t-3", "t-1"]),
        ("limit=1&offset=1", ["t/2"]),
        ("limit=0", []),
        ("state=ABORT", []),
        ("enterprise_project_id=any", ["t-3", "t/2", "t-1"]),
    ],
)
def test_a_list_is_narrowed_by_its_parameters(view, query, ids):
    assert [task["id"] for task in view.shown(f"/v3/tasks?{query}", by="reader")["tasks"]] == ids


@pytest.mark.parametrize(
    "query", ["limit=201", "limit=-1", "limit=x", "offset=65536", "state=HAPPY", "nonsense=1", "limit=1&limit=2"]
)
def test_a_parameter_out_of_bounds_is_named(view, query):
    answer = view.get(f"/v3/tasks?{query}")
    assert answer.status == 400
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


def test_the_bytes_stand_beside_what_the_sdk_knows(view):
    task = view.shown("/v3/tasks/t-1", by="reader")
    assert (task["replicatesize"], task["totalsize"]) == (6_000 * MB, 12_000 * MB)
    assert task["sub_tasks"][1]["replicatesize"] == 6_000 * MB


def test_each_project_sees_its_own_tasks_and_an_operator_all(view):
    assert view.shown("/v3/tasks", by="reader")["count"] == 3
    assert view.shown("/v3/tasks", by="other")["count"] == 1
    assert view.shown("/v3/tasks", by="operator")["count"] == 4
    assert view.shown("/v3/tasks/t-1", by="other")["replicatesize"] == 7 * MB
    assert view.get("/v3/tasks/t%2F2", by="other").status == 404
    assert view.shown("/v3/tasks/t%2F2", by="operator")["id"] == "t/2"


def test_who_may_not_read_is_told_so(view):
    assert view.get("/v3/tasks", by=None).json()["error_code"] == "APIGW.0301"
    assert view.get("/v3/tasks", by="agent").json()["error_code"] == "APIGW.0302"
    assert view.get("/v3/tasks", method="DELETE").headers["Allow"] == "GET, HEAD"
    assert view.get("/v4/tasks").status == 404


def test_what_is_committed_shows_and_what_is_aborted_or_unreadable_does_not(view, states):
    now = now_us()
    states.put({"project-3/a/MIGRATE_LINUX_FILE": series(now)})
    wait_until(lambda: view.get("/v3/tasks/a").status == 200)
    states.put_bytes("project-3/a/MIGRATE_LINUX_FILE", b"\x00nonsense")
    states.abort("project-3/b/MIGRATE_LINUX_FILE", b"\x00nonsense")
    states.put({"project-3/c/MIGRATE_LINUX_FILE": series(now)})
    wait_until(lambda: view.get("/v3/tasks/c").status == 200)
    wait_until(lambda: view.shown("/readyz")["unreadable"] == 1)
    assert view.get("/v3/tasks/a").status == 200
    states.forget(["project-3/a/MIGRATE_LINUX_FILE", "project-3/c/MIGRATE_LINUX_FILE"])
    wait_until(lambda: view.get("/v3/tasks/a").status == 404)
    wait_until(lambda: view.shown("/readyz")["records_behind"] == 0)
    assert float(view.get("/v3/tasks").headers["X-View-Lag"]) < 5


def test_a_view_of_a_topic_with_marks_and_aborted_records_at_its_end_still_catches_up(broker, states, tmp_path):
    states.abort("project-3/b/MIGRATE_LINUX_FILE", b"\x00nonsense")
    with running_view(broker, states.topics.prefix, tmp_path) as second:
        assert second.shown("/readyz")["checks"]["caught_up"] == "yes"
        assert second.stop() == 0


def test_a_view_of_a_topic_that_does_not_exist_is_unready_and_says_why(broker, topic_prefix, tmp_path):
    with running_view(broker, topic_prefix, tmp_path, wait=False) as early:
        wait_until(lambda: "taskstream topics create" in early.get("/readyz").json()["checks"]["kafka"])
        assert early.get("/readyz").status == 503
        assert early.get("/v3/tasks").status == 503
        create_topics(broker.config(), Topics(topic_prefix, partitions=2))
        wait_until(lambda: early.get("/readyz").status == 200)
        assert early.shown("/v3/tasks")["count"] == 0


@pytest.mark.parametrize("minutes", [31, 100_000])
def test_a_row_that_no_worker_writes_is_counted_and_stops_no_view(broker, tmp_path, minutes):
    states, now = new_state_topic(broker), now_us()
    good = SeriesTable()
    good.put(["p/t/S"], series(now), pa.array([""]), pa.nulls(1, pa.string()))
    (row,) = state_batch(good, good.find(["p/t/S"])).to_pylist()
    forged = RecordWriter(TableIds(), newest("SeriesState")).write(
        {name: in_us(value) for name, value in row.items()} | {"minute_bytes": [1] * minutes}
    )
    states.put_bytes("p/t/S", forged)
    with running_view(broker, states.topics.prefix, tmp_path) as view:
        wait_until(lambda: view.shown("/readyz")["unreadable"] == 1)
        states.put_bytes("p/t/S", forged)
        states.put({"p/u/S": series(now)})
        wait_until(lambda: view.get("/v3/tasks/u").status == 200)
        wait_until(lambda: view.shown("/readyz")["unreadable"] == 2)
        assert view.get("/v3/tasks/t").status == 404
        assert "taskstream_view_unreadable_records_total 2" in view.get("/metrics").data.decode()
        assert view.stop() == 0


def in_us(value: object) -> object:
    """The microseconds since 1970 of a time, and anything else as it is."""
    if isinstance(value, datetime):
        return (value - datetime(1970, 1, 1, tzinfo=value.tzinfo)) // timedelta(microseconds=1)
    return value
