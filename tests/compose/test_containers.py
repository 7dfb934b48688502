"""Checks the container files without a container engine: against the Compose specification, the command line, the
mounted files, and each other. `make containers` runs them.

compose-spec.json is the specification's JSON schema from compose-go 2.16.2, unchanged: Copyright 2020 The Compose
Specification Authors, Apache License 2.0.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from taskstream.compose.cli import cli

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "compose"
SPECIFICATION = json.loads((Path(__file__).parent / "compose-spec.json").read_text("utf-8"))
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8")


def interpolated(value: Any) -> Any:
    """The value with each ${NAME:-default} replaced by its default."""
    if isinstance(value, dict):
        return {key: interpolated(each) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each) for each in value]
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) if isinstance(value, str) else value


STACK = interpolated(yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8")))
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
OURS = {name: each for name, each in SERVICES.items() if "build" in each}
SERVED = {name: each for name, each in OURS.items() if "READY_URL" in each.get("environment", {})}


def settings(name: str) -> click.Context:
    """The service's command and environment, parsed by the command line without running the command."""
    service = SERVICES[name]
    words, command = [*service["command"]], cli
    environment = {key: str(value) for key, value in service.get("environment", {}).items()}
    with CliRunner().isolation(env=environment):
        context = cli.make_context("taskstream", [*words])
        while isinstance(command, click.Group):
            name, command, words = command.resolve_command(context, words)
            context = command.make_context(name, [*words], parent=context)
    return context


def port(name: str) -> int:
    """The port that the service listens on."""
    params = settings(name).params
    return params["port"] if "port" in params else params["metrics_port"]


def seconds(length: str) -> float:
    return float(length.removesuffix("s"))


def test_the_file_is_valid_by_the_compose_specification():
    jsonschema.validate(STACK, SPECIFICATION)


@pytest.mark.parametrize("name", OURS)
def test_the_command_line_accepts_each_command(name):
    assert settings(name).command is not None


@pytest.mark.parametrize("name", OURS)
def test_each_taskstream_variable_is_read_by_the_command(name):
    context = settings(name)
    read = {context.command.name}
    for option in context.command.params:
        own = option.envvar or []
        read |= {own} if isinstance(own, str) else {*own}
        read.add(f"{context.auto_envvar_prefix}_{option.name.upper()}")

    assert {key for key in OURS[name].get("environment", {}) if key.startswith("TASKSTREAM_")} <= read


def test_all_clients_of_kafka_use_the_internal_listener():
    inside = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")[0].partition("://")[2]

    assert {settings(name).params["bootstrap_servers"] for name in (*SERVED, "topics")} == {inside}
    assert SERVICES["registry"]["environment"]["SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS"].endswith(inside)


def test_worker_and_view_have_the_same_rate_window():
    assert len({settings(name).params["bucket_s"] for name in OURS if name.startswith("worker")}) == 1
    assert settings("view").params["bucket"] == settings("worker-a").params["bucket_s"]


def test_each_worker_has_its_own_instance_name():
    names = [settings(name).params["instance"] for name in OURS if name.startswith("worker")]

    assert len(names) == len({*names}) == 2


@pytest.mark.parametrize("name", SERVED)
def test_the_readiness_url_has_the_port_that_the_process_listens_on(name):
    assert SERVED[name]["environment"]["READY_URL"] == f"http://127.0.0.1:{port(name)}/readyz"


@pytest.mark.parametrize("name", SERVED)
def test_a_process_listens_on_all_interfaces_of_its_container(name):
    params = settings(name).params

    assert params.get("host", params.get("metrics_host")) == "0.0.0.0"


@pytest.mark.parametrize("name", ["edge", "view"])
def test_the_stop_grace_period_is_longer_than_the_drain(name):
    params = settings(name).params

    assert seconds(SERVICES[name]["stop_grace_period"]) > params.get("drain_delay", 0) + params["drain_timeout"] + 5


@pytest.mark.parametrize("name", [name for name, each in SERVICES.items() if "ports" in each])
def test_ports_are_published_only_on_the_loopback(name):
    published = [each.split(":") for each in SERVICES[name]["ports"]]

    assert {host for host, _, _ in published} == {"127.0.0.1"}
    if name in SERVED:
        assert [int(inside) for _, _, inside in published] == [port(name)]


def test_no_two_services_publish_the_same_port():
    published = [each.split(":")[1] for service in SERVICES.values() for each in service.get("ports", [])]

    assert len(published) == len({*published})


def test_prometheus_scrapes_every_process_on_its_port():
    config = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yaml").read_text("utf-8"))
    targets = {each for job in config["scrape_configs"] for part in job["static_configs"] for each in part["targets"]}

    assert targets == {f"{name}:{port(name)}" for name in SERVED}
    assert all((FOLDER / "prometheus" / name).is_file() for name in config["rule_files"])


def test_every_mounted_file_exists():
    mounted = [each.split(":")[0] for service in SERVICES.values() for each in service.get("volumes", [])]

    assert [each for each in mounted if each.startswith(".") and not (FOLDER / each).exists()] == []
    assert {each for each in mounted if not each.startswith(".")} == {*STACK["volumes"]}


def test_grafana_finds_prometheus_and_the_dashboards_where_they_are_mounted():
    (source,) = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8"))[
        "datasources"
    ]
    (provider,) = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/taskstream.yaml").read_text("utf-8"))[
        "providers"
    ]
    grafana = SERVICES["grafana"]
    places = dict(each.split(":")[:2] for each in grafana["volumes"])

    assert source["url"] == "http://prometheus:9090"
    assert provider["options"]["path"] == places["./grafana/dashboards"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].removeprefix(provider["options"]["path"])
    assert (FOLDER / "grafana" / "dashboards" / home.strip("/")).is_file()


def test_edge_and_view_read_the_file_that_tokens_are_added_to():
    file = settings("token").params["path"]

    assert {settings(name).params["tokens"] for name in ("edge", "view")} == {file}
    where = {f"tokens:{file.parent}", f"tokens:{file.parent}:ro"}
    assert all(where & {*SERVICES[name]["volumes"]} for name in ("token", "edge", "view"))


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_by_a_tag(name):
    assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name):
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert SERVICES[name].get("read_only") or name in ("kafka", "registry"), (
        "those write their configuration at the start"
    )


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in ("topics", "schemas", "token")])
def test_every_process_is_restarted_and_has_a_health_check(name):
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that answers every request with this status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/readyz"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_passes_only_if_the_process_is_ready(status, healthy):
    (check,) = {json.dumps(each["healthcheck"]["test"]) for each in SERVED.values()}
    _, python, *arguments = json.loads(check)
    with answering(status) as url:
        env = {"READY_URL": url, "http_proxy": "http://127.0.0.1:1"}  # a proxy that cannot reach the process
        done = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, check=False)

    assert (python, done.returncode == 0) == ("python", healthy)


def test_the_image_has_the_same_health_check_as_the_stack():
    check = re.search(r"HEALTHCHECK.*\\\n\s+CMD (\[.*\])", DOCKERFILE)

    assert check is not None
    assert ["CMD", *json.loads(check[1])] == SERVICES["edge"]["healthcheck"]["test"]


def test_the_image_runs_as_an_unprivileged_user_from_a_pinned_base():
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^ARG PYTHON=(\S+)", DOCKERFILE, re.MULTILINE)[0].count(".") == 2
    assert {*re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)} == {"python:${PYTHON}"}


def test_the_build_context_has_every_file_that_the_image_needs():
    given = re.findall(r"^!(\S+)", (FOLDER / "Dockerfile.dockerignore").read_text("utf-8"), re.MULTILINE)
    copied = re.findall(r"requirements/\S+\.txt", DOCKERFILE)

    assert all((ROOT / each).exists() for each in given)
    assert {*copied} <= {*given}


def test_the_user_and_the_group_of_the_image_are_those_of_the_manifests():
    made = re.search(r"groupadd --gid (\d+) .*\\\n.*useradd --uid (\d+) --gid (\d+)", DOCKERFILE)

    assert made is not None
    assert {*made.groups()} == {"10001"}


def test_no_health_check_needs_a_newer_engine_or_goes_through_a_proxy():
    checks = {name: each["healthcheck"] for name, each in SERVICES.items() if "test" in each.get("healthcheck", {})}

    assert all("start_interval" not in each for each in checks.values()), "Docker Engine 25"
    for name, check in checks.items():
        words = " ".join(check["test"])
        assert any(way in words for way in ("ProxyHandler({})", "--noproxy *", "wget -Y off", "/dev/tcp/")), name
