"""Checks the manifests without a cluster: as kustomize builds them, against Kubernetes' schemas, the command line, the
declared topics and rights, and each other. Resources of operators (Strimzi, Prometheus) have no schema here.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from taskstream.compose.cli import cli
from taskstream.compose.kafka_acls import kafka_users
from taskstream.schemas.access import PARTS
from taskstream.schemas.topics import Topics

FOLDER = Path(__file__).parents[2] / "compose" / "kubernetes"
OVERLAYS = ("small", "real")
OF_OPERATORS = {"KafkaTopic", "KafkaUser", "PodMonitor", "PrometheusRule"}
Resources = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def built(kustomize: list[str]) -> Callable[[str], Resources]:
    """[kind, name] The resources of an overlay."""

    def build(overlay: str) -> Resources:
        done = subprocess.run(
            [*kustomize, str(FOLDER / "overlays" / overlay)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout)}

    kept = {overlay: build(overlay) for overlay in OVERLAYS}
    return kept.__getitem__


@pytest.fixture(params=OVERLAYS)
def resources(built: Callable[[str], Resources], request: pytest.FixtureRequest) -> Resources:
    return built(request.param)


def pods(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the pod's specification of each workload."""
    for (_, name), each in resources.items():
        if "template" in each.get("spec", {}):
            yield name, each["spec"]["template"]["spec"]


def ours(resources: Resources) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, pod and container of each of the pipeline's own workloads."""
    for name, pod in pods(resources):
        (container,) = pod["containers"]
        if container["image"].startswith("taskstream:"):
            yield name, pod, container


def environment(resources: Resources, container: dict[str, Any]) -> dict[str, str]:
    found = {}
    for source in container.get("envFrom", []):
        found |= resources["ConfigMap", source["configMapRef"]["name"]]["data"]
    return found


def parsed(resources: Resources, container: dict[str, Any]) -> click.Context:
    """The container's arguments and environment, parsed by the command line without running the command."""
    words, command = [*container["args"]], cli
    with CliRunner().isolation(env=environment(resources, container)):
        context = cli.make_context("taskstream", [*words])
        while isinstance(command, click.Group):
            name, command, words = command.resolve_command(context, words)
            context = command.make_context(name, [*words], parent=context)
    return context


def test_every_resource_is_valid_by_kubernetes_own_schemas(resources, foreign_python, tmp_path):
    file = tmp_path / "all.yaml"
    known = [each for (kind, _), each in resources.items() if kind not in OF_OPERATORS]
    file.write_text(yaml.safe_dump_all(known))
    validate = foreign_python.parent / "kubernetes-validate"

    done = subprocess.run([validate, "--strict", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count(" passed ") == len(known) > 15


def test_the_validation_refuses_what_kubernetes_does_not_know(foreign_python, tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text("{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {prots: []}}")

    done = subprocess.run(
        [foreign_python.parent / "kubernetes-validate", "--strict", file], capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert "prots" in done.stdout + done.stderr


def test_the_command_line_accepts_every_argument(resources):
    commands = {name: parsed(resources, container).command.name for name, _, container in ours(resources)}

    assert set(commands) == {"edge", "worker", "view", "topics"}
    assert all(commands[name] == name for name in ("edge", "worker", "view"))


def test_every_variable_is_read_by_one_command_at_least(resources):
    read = set()
    given = set()
    for _, _, container in ours(resources):
        context = parsed(resources, container)
        given |= set(environment(resources, container))
        for option in context.command.params:
            own = option.envvar or []
            read |= {own} if isinstance(own, str) else {*own}

    assert given <= read


def test_each_process_listens_where_its_port_and_its_probes_are(resources):
    for name, _, container in ours(resources):
        if name == "topics":
            continue
        params = parsed(resources, container).params
        (port,) = container["ports"]
        assert params.get("port", params.get("metrics_port")) == port["containerPort"]
        assert params.get("host", params.get("metrics_host")) == "0.0.0.0"
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("readiness", "liveness", "startup")}
        assert {kind: each["path"] for kind, each in probes.items()} == {
            "readiness": "/readyz",
            "liveness": "/healthz",
            "startup": "/healthz",
        }
        assert {each["port"] for each in probes.values()} == {port["name"]}
        service = resources["Service", name]["spec"]
        assert service["ports"][0]["port"] == port["containerPort"]
        assert service["ports"][0]["targetPort"] == port["name"]


def test_a_pod_is_given_longer_to_stop_than_it_drains(resources):
    for name, pod, container in ours(resources):
        params = parsed(resources, container).params
        drains_s = params.get("drain_delay", 0) + params.get("drain_timeout", 0)
        assert name == "topics" or pod["terminationGracePeriodSeconds"] > drains_s + 10


def test_every_pod_keeps_to_the_restricted_standard(resources):
    """The rules that the namespace's label enforces: https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    assert (
        resources["Namespace", "taskstream"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    )
    allowed = {"configMap", "emptyDir", "secret", "persistentVolumeClaim", "projected", "downwardAPI"}
    for _, pod in pods(resources):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
        assert all(set(each) - {"name"} <= allowed for each in pod.get("volumes", []))
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
            assert "hostPort" not in str(container.get("ports", ""))


def test_our_processes_write_only_to_tmp(resources):
    for _, _, container in ours(resources):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        writable = [each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")]
        assert writable == ["/tmp"]


def test_workers_have_names_that_stay_and_no_more_of_them_than_partitions(resources):
    (container,) = (container for name, _, container in ours(resources) if name == "worker")
    partitions = int(environment(resources, container)["TASKSTREAM_PARTITIONS"])

    assert "--instance=$(POD_NAME)" in container["args"]
    assert container["env"] == [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    assert 1 <= resources["StatefulSet", "worker"]["spec"]["replicas"] <= partitions


def test_every_policy_budget_and_service_selects_a_pod(resources):
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in resources.values()
        if "template" in each.get("spec", {})
    ]
    for (kind, name), each in resources.items():
        spec = each.get("spec", {})
        match kind:
            case "Service":
                wanted = spec["selector"]
            case "PodDisruptionBudget":
                wanted = spec["selector"]["matchLabels"]
            case "NetworkPolicy":
                wanted = spec["podSelector"].get("matchLabels", {})
            case _:
                continue
        assert any(wanted.items() <= each.items() for each in labels), (kind, name)


def test_every_secret_and_config_that_is_mounted_is_there_or_is_an_operators(resources):
    made = {name for kind, name in resources if kind in ("Secret", "ConfigMap")}
    operators = {"kafka-cluster-ca-cert", *(name for kind, name in resources if kind == "KafkaUser")}
    own = {"taskstream-tokens"}
    for _, pod in pods(resources):
        for volume in pod.get("volumes", []):
            name = volume.get("secret", {}).get("secretName") or volume.get("configMap", {}).get("name")
            assert name is None or name in made | operators | own


def test_the_topics_of_strimzi_are_those_that_are_declared(built):
    topics = {name: each["spec"] for (kind, name), each in built("real").items() if kind == "KafkaTopic"}

    assert {
        name: (each["partitions"], {key: str(value) for key, value in each["config"].items()})
        for name, each in topics.items()
    } == {each.name: (each.partitions, {**each.config, "min.insync.replicas": "2"}) for each in Topics().all}
    assert {each["replicas"] for each in topics.values()} == {3}


def test_each_user_has_the_rights_that_its_part_needs(built):
    users = {name: each["spec"] for (kind, name), each in built("real").items() if kind == "KafkaUser"}
    parts = [name.removeprefix("taskstream-") for name in users]
    printed = kafka_users("taskstream", {part: PARTS[part](Topics(), "taskstream.worker") for part in parts})

    assert users == {each["metadata"]["name"]: each["spec"] for each in yaml.safe_load_all(printed)}
    assert set(parts) == {"edge", "worker", "view", "setup"}


def test_the_alerts_are_those_of_the_compose_file(built):
    rules = yaml.safe_load((FOLDER.parent / "prometheus" / "alerts.yaml").read_text("utf-8"))

    assert built("real")["PrometheusRule", "taskstream"]["spec"] == rules


def test_no_two_rules_select_the_same_ports_of_metrics(built):
    monitored = {each["port"] for each in built("real")["PodMonitor", "taskstream"]["spec"]["podMetricsEndpoints"]}

    assert monitored == {
        port["name"] for name, _, container in ours(built("real")) if name != "topics" for port in container["ports"]
    }
