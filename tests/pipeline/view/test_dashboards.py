"""The dashboard and the alert rules ask for metrics that edge, worker and view really export, by labels they really have."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from taskstream.consumer.worker.metrics import WorkerMetrics
from taskstream.schemas.topics import Topics
from tests.consumer.view.views import running_view
from tests.producer.edges import RunningEdge, running_edge

COMPOSE = Path(__file__).parents[3] / "compose"
DASHBOARD = COMPOSE / "grafana" / "dashboards" / "taskstream.json"
PROVISIONING = COMPOSE / "grafana" / "provisioning"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
ASKED = re.compile(r"\b(taskstream_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?")


@pytest.fixture(scope="module")
def exported(broker, edge: RunningEdge, edge_topics: Topics, tmp_path_factory) -> dict[str, set[str]]:
    """Every metric by the names of its samples, with the labels that were seen on it."""
    assert edge.put(body=b"{}").status == 400
    assert edge.put().status == 200
    instruments = WorkerMetrics()
    instruments.lag({0: 1}, 1, 0)
    with running_view(broker, edge_topics.prefix, tmp_path_factory.mktemp("view")) as view:
        view.get("/tasks")
        texts = [edge.get("/metrics").data, view.get("/metrics").data, generate_latest(instruments.registry)]
    found: dict[str, set[str]] = {"up": {"job", "instance"}}
    for text in texts:
        for family in text_string_to_metric_families(text.decode()):
            for suffix in SUFFIXES.get(family.type, ("",)):
                found.setdefault(family.name + suffix, set())
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_counters_of_the_edge_exist_before_what_they_count(broker, edge_topics, tmp_path):
    with running_edge(broker, edge_topics.prefix, tmp_path) as fresh:
        lines = fresh.get("/metrics").data.decode().splitlines()
    assert 'taskstream_edge_unacknowledged_total{reason="NOT_ENOUGH_REPLICAS",worker="0"} 0.0' in lines
    assert 'taskstream_edge_refused_total{code="TASKSTREAM.0431",status="431",worker="0"} 0.0' in lines


@pytest.mark.parametrize("command", [("check", "rules"), ("test", "rules")], ids=" ".join)
def test_the_alert_rules_pass_the_checker_of_prometheus(promtool, command):
    file = COMPOSE / "prometheus" / "alerts.yaml" if command[0] == "check" else Path(__file__).with_name("alerts.yaml")
    done = subprocess.run([promtool, *command, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_rule_is_tested_on_a_burst():
    tests = yaml.safe_load(Path(__file__).with_name("alerts.yaml").read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in rules()}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((COMPOSE / "prometheus" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [each["expr"] for panel in panels() for each in panel["targets"]]


def asked(texts: Iterable[str]) -> Iterator[tuple[str, set[str]]]:
    for text in texts:
        for name, matchers in ASKED.findall(text):
            yield name, set(re.findall(r"([a-z_]+)\s*=?[=!]~?", matchers))


def test_every_metric_that_is_asked_for_is_exported(exported):
    names = {name for name, _ in asked(expressions())}
    assert len(names) > 30
    assert names - exported.keys() == set()


def test_every_label_that_is_asked_for_is_on_its_metric(exported):
    for name, labels in asked(expressions()):
        assert labels <= exported[name] | {"job", "instance"}, name
    for text in expressions():
        for grouped in re.findall(r"by \(([^)]*)\)", text):
            metric = ASKED.search(text[text.index(f"({grouped})") + len(grouped) + 2 :])[1]
            if exported[metric]:
                assert set(grouped.split(", ")) <= exported[metric] | {"job", "instance", "le"}, text


def test_every_expression_closes_its_brackets():
    for text in expressions():
        for opened, closed in ("()", "[]", "{}"):
            assert text.count(opened) == text.count(closed), text


def test_counters_are_asked_for_as_rates_alone():
    for text in expressions():
        for match in re.finditer(r"taskstream_[a-z_]+_(?:total|bucket)\b", text):
            assert re.search(r"(rate|increase)\($", text[: match.start()]), text


def test_every_rule_says_what_it_is_and_what_to_look_at():
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["annotations"]["description"].endswith("."), rule["alert"]


def test_panels_have_their_own_ids_and_do_not_lie_on_each_other():
    every = json.loads(DASHBOARD.read_text())["panels"]
    assert len({each["id"] for each in every}) == len(every)
    taken: set[tuple[int, int]] = set()
    for each in every:
        place = each["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells, each["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_dashboard_is_provisioned_from_where_compose_puts_it_and_reads_the_provisioned_source():
    source = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())["datasources"][0]
    provider = yaml.safe_load((PROVISIONING / "dashboards" / "taskstream.yaml").read_text())["providers"][0]
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    mounts = {volume.split(":")[1]: volume.split(":")[0] for volume in services["grafana"]["volumes"]}
    assert (COMPOSE / mounts[provider["options"]["path"]]).resolve() == DASHBOARD.parent
    assert source["url"].startswith("http://prometheus:")
    assert "prometheus" in services
    assert {each["datasource"]["uid"] for each in panels()} == {source["uid"]}
