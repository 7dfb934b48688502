"""One event that is on the topic several times counts once: a replayed report, an edge's or a producer's repetition."""

from __future__ import annotations

import json

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from taskstream.schemas.catalog import Schema, named
from taskstream.schemas.codec.record_codec import RecordWriter
from tests.pipeline.folded import as_one_undisturbed_fold
from tests.pipeline.streams import (
    IDS,
    committed,
    has_counted,
    kill,
    producer,
    read_all,
    records,
    report,
    send,
    worker,
)
from tests.private_files import write_private
from tests.producer.edges import REPORT, running_edge
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

T = 4_000_000_000_000_000
S = 1_000_000
ACCESS, SECRET = "AK12345", "a secret of some length"


def test_a_signed_report_that_is_replayed_after_others_does_not_move_the_state_back(broker, topics, tmp_path):
    keys = tmp_path / "keys.jsonl"
    write_private(keys, json.dumps({"access": ACCESS, "secret": SECRET, "project": "p", "roles": ["report"]}) + "\n")
    with (
        running_edge(broker, topics.prefix, tmp_path, "--keys", str(keys)) as edge,
        worker(broker.bootstrap_servers, topics, tmp_path),
    ):
        requests = [signed(edge, percent) for percent in (10, 20, 30, 40, 50)]
        names = [put(edge, each) for each in requests]
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == 5)
        assert [put(edge, requests[0]) for _ in range(3)] == [names[0]] * 3
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == 8)
        wait_until(lambda: has_counted(tmp_path, "duplicates_total", 3))
    (row,) = rows(broker, topics)
    assert (row["progress"], row["replicatesize"], row["reports"]) == (50, 50_000, 5)
    assert (row["resets"], row["stale"], row["held"]) == (0, 0, False)
    assert [each["event_id"] for each in written(broker, topics)].count(names[0]) == 4


def test_a_record_that_is_written_again_counts_once_also_over_a_restart_of_the_worker(broker, topics, tmp_path):
    bootstrap = broker.bootstrap_servers
    steps = ((1, 10), (2, 20), (3, 30), (4, 40), (5, 50), (6, 60), (7, 100))
    reports = [report(1, T + 30 * step * S, 1_000 * step, progress=percent) for step, percent in steps]
    with worker(bootstrap, topics, tmp_path) as process:
        send(bootstrap, topics, [*reports[:4], reports[0], reports[3]])
        wait_until(lambda: committed(bootstrap, topics) == 6)
        wait_until(lambda: has_counted(tmp_path, "duplicates_total", 2))
        kill(process)
    before = rows(broker, topics)
    with worker(bootstrap, topics, tmp_path):
        send(bootstrap, topics, [reports[1], reports[3]])
        wait_until(lambda: committed(bootstrap, topics) == 8)
        assert rows(broker, topics) == before
        send(bootstrap, topics, [*reports[4:], *reports])
        wait_until(lambda: committed(bootstrap, topics) == 18)
    (row,) = rows(broker, topics)
    assert (row["reports"], row["replicatesize"], row["resets"]) == (7, 7_000, 0)
    as_one_undisturbed_fold(bootstrap, topics, 18, 60.0)


@pytest.mark.parametrize("title", ["SeriesState.v1", "SeriesState.v2"])
def test_a_row_of_an_older_version_knows_the_events_that_are_folded_from_now_on(broker, topics, tmp_path, title):
    bootstrap = broker.bootstrap_servers
    last = report(1, T + 2 * S, 2_000)
    with worker(bootstrap, topics, tmp_path) as process:
        send(bootstrap, topics, [report(1, T, 0), report(1, T + S, 1_000), last])
        wait_until(lambda: committed(bootstrap, topics) == 3)
        kill(process)
    rewrite_rows(broker, topics, named(title))
    with worker(bootstrap, topics, tmp_path):
        send(bootstrap, topics, [last])
        wait_until(lambda: committed(bootstrap, topics) == 4)
        send(bootstrap, topics, [last, last])
        wait_until(lambda: committed(bootstrap, topics) == 6)
        wait_until(lambda: has_counted(tmp_path, "duplicates_total", 2))
    (row,) = rows(broker, topics)
    assert (row["reports"], row["replicatesize"], len(row["event_ids"])) == (4, 2_000, 1)


def rewrite_rows(broker, topics, schema: Schema) -> None:
    """Write the rows again as records of an older version, without the fields that it does not have."""
    names = [each["name"] for each in schema.definition["fields"]]
    newest = {message.key(): message for message in read_all(broker.bootstrap_servers, topics.state.name)}
    sender, writer = producer(broker.bootstrap_servers), RecordWriter(IDS, schema)
    for message, row in zip(newest.values(), records(list(newest.values()), "SeriesState"), strict=True):
        old = writer.write({name: row[name] for name in names})
        sender.produce(topics.state.name, old, message.key(), message.partition())
    assert sender.flush(LIMIT_S) == 0


def signed(edge, percent: int) -> SdkRequest:
    request = SdkRequest(
        method="PUT",
        schema="http",
        host=edge.url.removeprefix("http://"),
        resource_path="/v3/tasks/task-1/progress",
        header_params={"Content-Type": "application/json"},
        query_params=[],
        body=json.dumps({**REPORT, "progress": percent, "replicatesize": percent * 1_000}).encode(),
    )
    Signer(BasicCredentials(ACCESS, SECRET, "p")).sign(request)
    return request


def put(edge, request: SdkRequest) -> str:
    """The event id in the response of the edge."""
    url = edge.url + request.resource_path
    answer = edge.http.request("PUT", url, body=request.body, headers=request.header_params, retries=False)
    assert answer.status == 200, answer.data
    return answer.headers["X-Event-Id"]


def written(broker, topics) -> list[dict]:
    return records(read_all(broker.bootstrap_servers, topics.progress.name), "ProgressReported")


def rows(broker, topics) -> list[dict]:
    """The published rows: the last record of each key."""
    newest = {message.key(): message for message in read_all(broker.bootstrap_servers, topics.state.name)}
    return records(list(newest.values()), "SeriesState")
