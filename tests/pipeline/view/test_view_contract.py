"""What programs rely on: signed requests of the official SDK, the OpenAPI document and answers that keep to it, metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from huaweicloudsdksms.v3 import ListTasksRequest, ShowTaskRequest, SmsClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.state.series import Signal
from tests.consumer.view.fleets import fleet
from tests.consumer.view.views import RunningView, S, StateTopic, new_state_topic, now_us, running_view, series, signal
from tests.private_files import write_private
from tests.waiting import wait_until

SECRET = "a secret of some length"
TASKS = 60


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    now = now_us()
    topic.put(*fleet(now, TASKS))
    topic.put({"project-1/with space ü/MIGRATE_LINUX_FILE": series(now), "project-1/t-1/SYNC_LINUX_FILE": series(now)})
    topic.tell(*(signal(now - place * S, each.name, eta=now) for place, each in enumerate(Signal)))
    return topic


@pytest.fixture(scope="module")
def view(broker: KafkaClient, states: StateTopic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningView]:
    folder = tmp_path_factory.mktemp("view")
    keys = folder / "keys.jsonl"
    entries = [
        {"access": "READS", "secret": SECRET, "project": "project-1", "roles": ["read"]},
        {"access": "OTHER", "secret": SECRET, "project": "project-2", "roles": ["read"]},
        {"access": "REPORTS", "secret": SECRET, "project": "project-1", "roles": ["report"]},
    ]
    write_private(keys, "".join(json.dumps(entry) + "\n" for entry in entries))
    with running_view(broker, states.topics.prefix, folder, "--keys", str(keys)) as running:
        wait_until(lambda: len(running.shown("/tasks/t-1")["signals"]) == len(Signal))
        yield running


def sdk(view: RunningView, access: str = "READS", secret: str = SECRET, project: str = "project-1") -> SmsClient:
    """The official client as it comes, with its own signature."""
    credentials = BasicCredentials(access, secret, project)
    return SmsClient.new_builder().with_credentials(credentials).with_endpoint(view.url).build()


def test_a_signed_show_task_is_answered(view):
    task = sdk(view).show_task(ShowTaskRequest("t-1"))
    assert (task.id, task.state, task.project_id) == ("t-1", "SYNCING", "project-1")
    assert [each.name for each in task.sub_tasks] == ["SYNC_LINUX_FILE"]


def test_a_signed_task_id_that_needs_encoding_is_found(view):
    assert sdk(view).show_task(ShowTaskRequest("with space ü")).id == "with space ü"


@pytest.mark.parametrize("body", [b'{"limit": 1}', b"x" * 70_000], ids=["short", "too long"])
def test_a_signed_get_may_have_a_body_as_long_as_it_is_short(view, body):
    request = SdkRequest(
        method="GET",
        schema="http",
        host=view.url.removeprefix("http://"),
        resource_path="/v3/tasks/t-1",
        header_params={"Content-Type": "application/json"},
        query_params=[],
        body=body,
    )
    Signer(BasicCredentials("READS", SECRET, "project-1")).sign(request)
    response = view.http.request("GET", f"{view.url}/v3/tasks/t-1", body=body, headers=request.header_params)
    assert response.status == (200 if len(body) < 65_536 else 413)
    if response.status == 200:
        changed = view.http.request("GET", f"{view.url}/v3/tasks/t-1", body=b"{}", headers=request.header_params)
        assert changed.status == 401


def test_a_signed_list_tasks_goes_through_with_its_parameters(view):
    everything = sdk(view).list_tasks(ListTasksRequest(limit=200))
    syncing = sdk(view).list_tasks(ListTasksRequest(state="SYNCING", limit=200, offset=0))
    assert everything.count == len(everything.tasks) == TASKS // 4 + 2
    assert {each.id for each in syncing.tasks} == {each.id for each in everything.tasks if each.state == "SYNCING"}
    one = sdk(view).list_tasks(ListTasksRequest(name="space ü", id="with space ü"))
    assert [each.id for each in one.tasks] == ["with space ü"]


def test_the_pages_of_a_signed_list_are_the_whole_list(view):
    client = sdk(view)
    pages = [client.list_tasks(ListTasksRequest(limit=7, offset=offset)).tasks for offset in range(0, 28, 7)]
    assert [each.id for page in pages for each in page] == [
        each.id for each in client.list_tasks(ListTasksRequest(limit=200)).tasks
    ]


def test_a_signature_sees_its_own_project_alone(view):
    other = sdk(view, "OTHER", project="project-2")
    assert other.list_tasks(ListTasksRequest()).count == TASKS // 4
    with pytest.raises(ClientRequestException) as refused:
        other.show_task(ShowTaskRequest("t-1"))
    assert refused.value.status_code == 404


@pytest.mark.parametrize(
    ("access", "secret", "project", "status"),
    [
        ("READS", "wrong", "project-1", 401),
        ("NOBODY", SECRET, "project-1", 401),
        ("READS", SECRET, "project-2", 403),
        ("REPORTS", SECRET, "project-1", 403),
    ],
)
def test_a_signature_that_does_not_hold_is_refused(view, access, secret, project, status):
    with pytest.raises(ClientRequestException) as refused:
        sdk(view, access, secret, project).list_tasks(ListTasksRequest())
    assert refused.value.status_code == status
    assert refused.value.error_code.startswith("APIGW.")


@pytest.fixture(scope="module")
def document(view) -> dict[str, Any]:
    answer = view.get("/openapi.json", by=None)
    assert answer.status == 200
    return answer.json()


def test_the_openapi_document_is_valid(document):
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_a_generated_client_has_names_and_types_for_everything(document):
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert {tag for each in operations for tag in each["tags"]} == {each["name"] for each in document["tags"]}
    assert document["servers"] == [{"url": "/", "description": "This view."}]
    assert {name for each in document["security"] for name in each} == set(document["components"]["securitySchemes"])
    listed = document["paths"]["/v3/tasks"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert listed == {"$ref": "#/components/schemas/VendorTaskList"}
    listed = document["components"]["schemas"]["VendorTaskList"]
    assert listed["properties"]["tasks"]["items"] == {"$ref": "#/components/schemas/VendorTask"}


@pytest.mark.parametrize(
    ("route", "path"),
    [
        ("/tasks", "/tasks?limit=500"),
        ("/tasks", "/tasks?limit=3&sort=-progress"),
        ("/fleet", "/fleet"),
        ("/fleet", "/fleet?q=nobody-is-called-so"),
        ("/report", "/report?by=8h"),
        ("/report", "/report?project=project-1&by=06:00"),
        ("/tasks/{task_id}", "/tasks/t-1"),
        ("/v3/tasks", "/v3/tasks"),
        ("/v3/tasks/{task_id}", "/v3/tasks/t-1?"),
    ],
)
def test_an_answer_keeps_to_the_document_and_says_nothing_that_is_not_in_it(view, document, route, path):
    answer = view.get(path, by="reader")
    told = document["paths"][route]["get"]["responses"]["200"]
    schema = told["content"]["application/json"]["schema"] | {"components": document["components"]}
    Draft202012Validator(schema).validate(answer.json())
    assert list(undocumented(answer.json(), schema, document)) == []
    assert {name.lower() for name in told["headers"]} <= {name.lower() for name in answer.headers}


@pytest.mark.parametrize("path", ["/tasks?sort=luck", "/tasks/nowhere", "/fleet?x=1", "/report?by=yesterday"])
def test_a_refusal_keeps_to_the_document_too(view, document, path):
    schema = document["components"]["schemas"]["Error"] | {"components": document["components"]}
    Draft202012Validator(schema).validate(view.get(path).json())


def test_every_documented_parameter_is_taken(view, document):
    for route, methods in document["paths"].items():
        if "get" not in methods:
            continue
        named = {each["name"] for each in methods["get"]["parameters"] if each["in"] == "query"}
        for name in named - {"last_event_id"}:
            if route != "/stream" and "{" not in route:
                answer = view.get(f"{route}?{name}=")
                assert answer.status == 200, (route, name, answer.data)


def undocumented(value: Any, schema: dict[str, Any], document: dict[str, Any], at: str = "") -> Iterator[str]:
    """The paths of members that no schema names; an object that is documented as any object may have any."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict) and "properties" in schema:
        for name, member in value.items():
            if name not in schema["properties"]:
                yield f"{at}/{name}"
            else:
                yield from undocumented(member, schema["properties"][name], document, f"{at}/{name}")
    if isinstance(value, list) and "items" in schema:
        for member in value[:50]:
            yield from undocumented(member, schema["items"], document, f"{at}[]")


def metrics(view: RunningView) -> dict[str, list[Any]]:
    answer = view.get("/metrics", by=None)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {each.name: each.samples for each in text_string_to_metric_families(answer.data.decode())}


def test_metrics_say_what_the_fleet_does(view):
    found, sums = metrics(view), view.shown("/fleet")
    by_health = {each.labels["health"]: each.value for each in found["taskstream_tasks"]}
    assert by_health == sums["health"]
    by_reason = {each.labels["reason"]: each.value for each in found["taskstream_tasks_without_eta"]}
    assert by_reason == sums["without_eta_by_reason"]
    assert found["taskstream_fleet_bytes_left"][0].value == sums["bytes_left"]
    assert found["taskstream_view_caught_up"][0].value == 1
    assert found["taskstream_view_signals"][0].value >= len(Signal)


def test_counters_exist_before_what_they_count(broker, states, tmp_path):
    with running_view(broker, states.topics.prefix, tmp_path, wait=False) as fresh:
        requests = {tuple(each.labels.values()): each.value for each in metrics(fresh)["taskstream_view_requests"]}
    assert requests["/tasks", "503"] == requests["/stream", "429"] == requests["none", "404"] == 0


def test_no_label_grows_with_tasks_projects_or_paths(view, states):
    view.get("/tasks/one-path"), view.get("/nowhere/at-all"), view.get("/v3/tasks/another%20path")
    before = {name: len(samples) for name, samples in metrics(view).items()}
    now = now_us()
    states.put({f"new-project-{number}/t-{number}/MIGRATE_LINUX_FILE": series(now) for number in range(50)})
    wait_until(lambda: sum("new-" in each["project_id"] for each in view.shown("/tasks?limit=500")["tasks"]) == 50)
    for number in range(20):
        view.get(f"/tasks/t-{number}")
        view.get(f"/nowhere/{number}")
    found = metrics(view)
    labels = {label for samples in found.values() for each in samples for label in each.labels}
    assert labels == {"health", "kind", "trend", "reason", "route", "status"}
    grown = {name for name, samples in found.items() if len(samples) > before[name]}
    assert grown <= {"taskstream_view_requests", "taskstream_view_requests_created"}
    routes = {each.labels["route"] for each in found["taskstream_view_requests"]}
    assert not any("t-" in route or "nowhere" in route for route in routes)
