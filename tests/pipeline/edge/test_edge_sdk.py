"""The official SDK, unmodified, against the edge."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, ServiceResponseException
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from huaweicloudsdksms.v3 import SmsClient, UpdateTaskSpeedReq, UpdateTaskSpeedRequest

from tests.private_files import write_private
from tests.producer.edges import REPORT, running_edge

ACCESS, SECRET = "AK12345", "a secret of some length"


@pytest.fixture(scope="module")
def signing_edge(broker, edge_topics, tmp_path_factory):
    folder = tmp_path_factory.mktemp("signing")
    keys = folder / "keys.jsonl"
    entries = [
        {"access": ACCESS, "secret": SECRET, "project": "project-7", "roles": ["report"]},
        {"access": "READER", "secret": SECRET, "project": "project-7", "roles": ["read"]},
        {"access": "TEMP", "secret": SECRET, "project": "project-7", "roles": ["report"], "security_token": "tok"},
    ]
    write_private(keys, "".join(json.dumps(entry) + "\n" for entry in entries))
    with running_edge(broker, edge_topics.prefix, folder, "--keys", str(keys)) as running:
        yield running


def client(edge, access=ACCESS, secret=SECRET, project="project-7", token=None):
    credentials = BasicCredentials(access, secret, project)
    if token:
        credentials = credentials.with_security_token(token)
    return SmsClient.new_builder().with_credentials(credentials).with_endpoint(edge.url).build()


def report(task_id="task-1", **changes):
    fields = {
        "subtask_name": "SYNC_LINUX_FILE",
        "progress": 10,
        "replicatesize": 1,
        "totalsize": 2,
        "process_trace": "é",
    }
    return UpdateTaskSpeedRequest(task_id=task_id, body=UpdateTaskSpeedReq(**(fields | changes)))


def test_a_report_of_the_sdk_is_taken(signing_edge):
    assert client(signing_edge).update_task_speed(report()).status_code == 200


def test_a_report_with_all_its_fields_is_taken(signing_edge):
    every = report(
        migrate_speed=1.5, compress_rate=2.0, remain_time=60, total_cpu_usage=1.0, agent_cpu_usage=1.0,
        total_mem_usage=1.0, agent_mem_usage=1.0, total_disk_io=1.0, agent_disk_io=1.0,
        need_migration_test=True, agent_time="2026-11-23",
    )  # fmt: skip
    assert client(signing_edge).update_task_speed(every).status_code == 200


@pytest.mark.parametrize("task_id", ["with space", "ümlaut", "a+b", "tilde~x"])
def test_a_path_that_needs_encoding_is_signed_alike(signing_edge, task_id):
    assert client(signing_edge).update_task_speed(report(task_id)).status_code == 200


def test_a_wrong_secret_raises_the_sdks_own_exception_with_our_code(signing_edge):
    with pytest.raises(ClientRequestException) as refused:
        client(signing_edge, secret="wrong").update_task_speed(report())
    assert (refused.value.status_code, refused.value.error_code) == (401, "APIGW.0301")
    assert refused.value.request_id


def test_an_unknown_access_key_is_401(signing_edge):
    with pytest.raises(ClientRequestException) as refused:
        client(signing_edge, access="NOBODY").update_task_speed(report())
    assert refused.value.status_code == 401


def test_another_project_than_the_keys_is_403(signing_edge):
    with pytest.raises(ClientRequestException) as refused:
        client(signing_edge, project="project-8").update_task_speed(report())
    assert (refused.value.status_code, refused.value.error_code) == (403, "APIGW.0302")


def test_a_key_without_the_role_is_403(signing_edge):
    with pytest.raises(ClientRequestException) as refused:
        client(signing_edge, access="READER").update_task_speed(report())
    assert refused.value.status_code == 403


def test_temporary_credentials_need_their_token(signing_edge):
    assert client(signing_edge, access="TEMP", token="tok").update_task_speed(report()).status_code == 200
    with pytest.raises(ClientRequestException):
        client(signing_edge, access="TEMP", token="other").update_task_speed(report())


def test_a_field_that_breaks_its_rule_comes_through_as_our_code(signing_edge):
    with pytest.raises(ServiceResponseException) as refused:
        client(signing_edge).update_task_speed(report(progress=101))
    assert refused.value.error_code == "TASKSTREAM.0400"
    assert "from 0 to 100" in refused.value.error_msg


def signed_request(edge, body, **headers):
    """A report that the SDK's signer has signed, with these headers."""
    request = SdkRequest(
        method="PUT",
        schema="http",
        host=edge.url.removeprefix("http://"),
        resource_path="/v3/tasks/task-1/progress",
        header_params={"Content-Type": "application/json", **headers},
        query_params=[],
        body=json.dumps(body).encode(),
    )
    Signer(BasicCredentials(ACCESS, SECRET, "project-7")).sign(request)
    return request


def repeated(edge, times=2, slipped_in=None, **headers):
    """The event's names, when one signed request is sent so often."""
    request = signed_request(edge, REPORT, **headers)
    names = set()
    for number in range(times):
        sent = {**request.header_params, **({slipped_in: f"{number}"} if slipped_in else {})}
        answer = edge.http.request("PUT", edge.url + "/v3/tasks/task-1/progress", body=request.body, headers=sent)
        assert answer.status == 200, answer.data
        names.add(answer.headers["X-Event-Id"])
    return names


def test_a_signed_request_that_is_repeated_is_the_same_event(signing_edge):
    assert len(repeated(signing_edge)) == 1


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-Request-Id"])
def test_a_key_that_is_not_signed_makes_no_other_event_of_it(signing_edge, header):
    assert len(repeated(signing_edge, slipped_in=header)) == 1


def test_a_key_that_is_signed_names_the_event_whenever_it_was_signed(signing_edge):
    at = {"X-Sdk-Date": (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=60)).strftime("%Y%m%dT%H%M%SZ")}
    first = repeated(signing_edge, times=1, **{"Idempotency-Key": "k"})
    assert repeated(signing_edge, times=1, **{"Idempotency-Key": "k"}, **at) == first


def test_an_unsigned_key_beside_a_signed_request_id_counts_for_nothing(signing_edge):
    named = repeated(signing_edge, slipped_in="Idempotency-Key", **{"X-Request-Id": "r-1"})
    assert named == repeated(signing_edge, times=1, **{"X-Request-Id": "r-1"})
    assert named != repeated(signing_edge, times=1, **{"X-Request-Id": "r-2"})


def test_a_key_that_is_signed_and_comes_with_another_report_is_422(signing_edge):
    repeated(signing_edge, times=1, **{"Idempotency-Key": "once"})
    request = signed_request(signing_edge, REPORT | {"progress": 43}, **{"Idempotency-Key": "once"})
    url = signing_edge.url + request.resource_path
    answer = signing_edge.http.request("PUT", url, body=request.body, headers=request.header_params)
    assert (answer.status, answer.json()["error_code"]) == (422, "TASKSTREAM.0422")


def test_a_token_works_beside_signatures(signing_edge):
    assert signing_edge.put().status == 200
