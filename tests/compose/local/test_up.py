"""`taskstream up`: what it starts, what it prints, how it ends."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3
from click.testing import CliRunner
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from taskstream.compose.cli import cli
from taskstream.schemas.catalog import newest
from taskstream.schemas.registry.registration import registration_statuses
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.topics import Topics
from tests.processes import is_alive
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

ANY_PORTS = ["--kafka-port", "0", "--edge-port", "0", "--view-port", "0", "--worker-metrics-port", "0"]


class Running:
    """A `taskstream up` in its own process, started and ready; killed at the end if it still runs."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.stderr_file = data_dir.with_name("stderr")
        command = [sys.executable, "-m", "taskstream", "up", "--data-dir", str(data_dir)]
        with self.stderr_file.open("a") as stderr:
            self.process = subprocess.Popen(
                [*command, *ANY_PORTS, *options],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        self.printed = []
        for line in self.process.stdout:
            self.printed.append(line.rstrip("\n"))
            if self.printed[-2:-1] == ["read it back:"]:
                break
        else:
            raise AssertionError(self.stderr_file.read_text())

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        wait_until(lambda: not any(map(is_alive, self.all_pids())))

    def address(self, name: str) -> str:
        return next(line.split()[1] for line in self.printed if line.split()[0] == name)

    def command(self, title: str) -> str:
        return self.printed[self.printed.index(title) + 1].strip()

    def token(self) -> str:
        return self.command("read it back:").partition("X-Auth-Token: ")[2].rstrip("'")

    def all_pids(self) -> list[int]:
        """The process ids of all processes that were ever ready."""
        return [
            int(line.rpartition("pid ")[2].rstrip(")"))
            for line in self.stderr_file.read_text().splitlines()
            if "(pid " in line
        ]

    def pid(self, name: str) -> int:
        """The process id of the last process of that name that was ready."""
        lines = [line for line in self.stderr_file.read_text().splitlines() if line.startswith(f"{name}: ready")]
        return int(lines[-1].rpartition("pid ")[2].rstrip(")"))

    def report(self, size: int) -> int:
        body = {
            "subtask_name": "MIGRATE_LINUX_FILE",
            "progress": 1,
            "replicatesize": size,
            "totalsize": 1000,
            "process_trace": "",
        }
        url = f"{self.address('edge')}/v3/tasks/t-1/progress"
        headers = {"X-Auth-Token": self.token(), "Content-Type": "application/json"}
        try:
            return urllib3.request("PUT", url, json=body, headers=headers, timeout=120, retries=False).status
        except urllib3.exceptions.HTTPError:
            return 0

    def read(self) -> dict:
        url = f"{self.address('view')}/v3/tasks/t-1"
        try:
            answer = urllib3.request("GET", url, headers={"X-Auth-Token": self.token()}, timeout=120, retries=False)
        except urllib3.exceptions.HTTPError:
            return {}
        return answer.json() if answer.status == 200 else {}


@pytest.fixture
def given_kafka(broker, topic_prefix):
    return ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topic_prefix, "--partitions", "2"]


def paste(command: str) -> urllib3.BaseHTTPResponse:
    """Send the request that a printed curl command sends."""
    curl = argparse.ArgumentParser()
    curl.add_argument("curl")
    curl.add_argument("-i", "-s", action="store_true")
    curl.add_argument("-X", default="GET")
    curl.add_argument("-H", action="append")
    curl.add_argument("-d")
    curl.add_argument("url")
    given = curl.parse_args(shlex.split(command))
    headers = dict(header.split(": ", 1) for header in given.H)
    return urllib3.request(given.X, given.url, headers=headers, body=given.d, timeout=120, retries=False)


def test_the_printed_lines_can_be_pasted(tmp_path, given_kafka):
    with Running(tmp_path / "data", *given_kafka) as running:
        assert paste(running.command("report progress:")).status == 200
        wait_until(lambda: b"MIGRATE_LINUX_FILE" in paste(running.command("read it back:")).data)
        page, _, code = running.address("sign-in").partition("#code=")
        signed_in = urllib3.request("POST", f"{page}sign-in", body=code, timeout=120, retries=False)
        assert signed_in.json() == {"token": running.token()}


def test_one_interrupt_stops_everything_in_order_and_a_restart_prints_the_same_token(tmp_path, given_kafka):
    with Running(tmp_path / "data", *given_kafka, "--workers", "2") as running:
        token = running.token()
        os.killpg(running.process.pid, signal.SIGINT)
        assert running.process.wait(300) == 0
        stopped = [line for line in running.stderr_file.read_text().splitlines() if line.endswith(": stopped")]
        assert stopped == ["edge: stopped", "worker-2: stopped", "worker-1: stopped", "view: stopped"]
        assert not any(map(is_alive, running.all_pids()))
    with Running(tmp_path / "data", *given_kafka) as again:
        assert again.token() == token
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(300) == 0


def test_simultaneous_signals_stop_once_and_a_later_one_kills(tmp_path):
    program = """
import os, signal, time
from taskstream.compose.cli.stop_signals import SAME_REQUEST_S, end_on_signals
with end_on_signals() as is_in_hurry:
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        print(is_in_hurry())
        time.sleep(SAME_REQUEST_S * 1.1)
        os.kill(os.getpid(), signal.SIGHUP)
        print(is_in_hurry())
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "False\nTrue\n")


def test_every_killed_process_is_restarted(tmp_path, kafka_cache_dir):
    with Running(tmp_path / "data", "--partitions", "2", "--cache-dir", str(kafka_cache_dir)) as running:
        assert running.report(1) == 200
        for size, name in enumerate(("edge", "worker-1", "view", "kafka"), 2):
            dead = running.pid(name)
            os.kill(dead, signal.SIGKILL)
            wait_until(lambda name=name, dead=dead: running.pid(name) != dead)
            wait_until(lambda size=size: running.report(size) == 200)
        # If a worker's call into librdkafka hangs, its watchdog ends it after a minute.
        wait_until(lambda: running.read().get("id") == "t-1")
        assert running.stderr_file.read_text().count("killed by SIGKILL, starting it again in 0.5 s") >= 4
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(300) == 0


def test_three_brokers_of_which_one_is_killed_lose_no_report_and_stop_leaves_nothing(tmp_path, kafka_cache_dir):
    options = ["--partitions", "2", "--brokers", "3", "--cache-dir", str(kafka_cache_dir)]
    with Running(tmp_path / "data", *options) as running:
        assert running.report(1) == 200
        wait_until(lambda: running.read().get("replicatesize") == 1)
        dead = running.pid("kafka-2")
        os.kill(dead, signal.SIGKILL)
        wait_until(lambda: running.report(2) == 200)
        wait_until(lambda: running.read().get("replicatesize") == 2)
        wait_until(lambda: running.pid("kafka-2") != dead)
        wait_until(lambda: running.report(3) == 200)
        wait_until(lambda: running.read().get("replicatesize") == 3)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(300) == 0
        assert not any(map(is_alive, running.all_pids()))


def test_the_schemas_of_a_local_registry_survive_it_and_confluent_s_client_reads_the_reports(tmp_path, kafka_cache_dir):
    options = ["--partitions", "1", "--registry", "--registry-port", "0", "--cache-dir", str(kafka_cache_dir)]
    with Running(tmp_path / "data", *options) as running:
        url = running.address("registry")
        assert list((tmp_path / "data/registry/tmp/vertx-cache").iterdir()), "its temporary files are elsewhere"
        assert running.report(17) == 200
        assert reports_read_by_confluent(running.address("kafka"), url) == [("t-1", 17)]
        with Registry(url) as registry:
            before = registration_statuses(registry, Topics())
            dead = running.pid("registry")
            os.kill(dead, signal.SIGKILL)
            wait_until(lambda: running.pid("registry") != dead)
            wait_until(lambda: registration_statuses(registry, Topics()) == before)
            assert registry.find_id("taskstream.progress-value", newest("ProgressReported")) == before[1].id
        assert {each.level for each in before} == {"FULL_TRANSITIVE"}
        assert all(each.id and each.contradicts is None for each in before)
        admin = AdminClient({"bootstrap.servers": running.address("kafka")})
        forever = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, "schema-registry.journal")])
        assert [each.result()["retention.ms"].value for each in forever.values()] == ["-1"]
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(300) == 0
        stopped = [line for line in running.stderr_file.read_text().splitlines() if line.endswith(": stopped")]
        assert stopped == [f"{name}: stopped" for name in ("edge", "worker-1", "view", "registry", "kafka")]


def reports_read_by_confluent(kafka: str, registry_url: str) -> list[tuple[str, int]]:
    """Task and bytes of the first report of the topic, read with Confluent's own client and the registry alone."""
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry_url}))
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "theirs", "auto.offset.reset": "earliest"})
    consumer.subscribe(["taskstream.progress"])
    try:
        found = wait_until(lambda: consumer.consume(1, 1.0))
        context = SerializationContext("taskstream.progress", MessageField.VALUE)
        return [
            (each["task_id"], each["replicatesize"]) for each in (deserialize(one.value(), context) for one in found)
        ]
    finally:
        consumer.close()


def test_a_taken_port_is_an_error_of_one_line_with_the_port_and_the_option(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option in ("--kafka-port", "--edge-port", "--view-port", "--worker-metrics-port"):
            done = CliRunner().invoke(cli, ["up", "--data-dir", str(tmp_path), *ANY_PORTS, option, str(port)])
            assert done.exit_code == 1
            assert done.stderr.startswith(f"Error: port {port} is taken: ")
            assert f"another one with {option} " in done.stderr
            assert done.stderr.count("\n") == 1


def test_one_port_for_two_processes_is_refused(tmp_path):
    done = CliRunner().invoke(
        cli, ["up", "--data-dir", str(tmp_path), *ANY_PORTS, "--edge-port", "18080", "--view-port", "18080"]
    )
    assert done.exit_code == 1
    assert "given to edge and to view; choose another one with --view-port" in done.stderr


def test_unusable_topics_are_reported_before_any_process_uses_them(tmp_path, broker, topic_prefix):
    admin = AdminClient(broker.config())
    for topic in admin.create_topics(
        [NewTopic(f"{topic_prefix}.progress", 2), NewTopic(f"{topic_prefix}.state", 3)]
    ).values():
        topic.result(LIMIT_S)
    options = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topic_prefix]
    command = [sys.executable, "-m", "taskstream", "up", "--data-dir", str(tmp_path / "data"), *ANY_PORTS, *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith(f"using Kafka at {broker.bootstrap_servers}, as set by")
    assert "has 3 partitions and" in done.stderr
    assert "start with a new --prefix" in done.stderr
    assert not list((tmp_path / "data").glob("logs/*"))


@pytest.mark.parametrize(
    "options", [["--edge-port", "70000"], ["--workers", "0"], ["-X", "no.such=1"], ["--prefix", "a b"]]
)
def test_wrong_usage_is_exit_code_2(tmp_path, options):
    assert CliRunner().invoke(cli, ["up", "--data-dir", str(tmp_path), *options]).exit_code == 2


def test_secrets_are_passed_to_the_processes_in_a_file_and_not_on_command_lines(tmp_path, given_kafka):
    with Running(tmp_path / "data", *given_kafka, "-X", "sasl.password=hunter2") as running:
        for pid in running.all_pids():
            assert b"hunter2" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert "hunter2" in (tmp_path / "data" / "kafka.properties").read_text()
        logs = [log.read_text() for log in (tmp_path / "data" / "logs").iterdir()]
        assert not any("hunter2" in text for text in (*logs, *running.printed, running.stderr_file.read_text()))
