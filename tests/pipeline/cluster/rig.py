"""A whole pipeline on three brokers, with agents that report to it, seen only from outside.

It knows which broker has which role, kills and pauses processes, and measures when reports are acknowledged and when rows
follow. It must not know what a test expects.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from taskstream.compose.local.guarded_process import GuardedProcess
from taskstream.compose.local.ports import free_ports
from taskstream.compose.local.readiness import http_answers
from taskstream.compose.topic_admin import create_topics
from taskstream.producer.callers.token_file import token_line
from taskstream.producer.events.event_builder import idempotent_event_id
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.http.caller import Role
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics
from tests.pipeline.cluster.faulty_cluster import FaultyCluster
from tests.private_files import write_private
from tests.waiting import wait_until

PROJECT = "chaos"
PARTITIONS = 6
TASKS = 12
LANES = 4
PAUSE_S = 0.03
"""Between two reports of a lane."""
BUCKET_S = 60.0
"""So long that no series is silent in any gap of a test."""
WORKERS = ("worker-a", "worker-b")


ELECTED = re.compile(r"^\[([-\d]+ [:\d]+,\d+)\] INFO .*Transitioning \d+ partition\(s\) to local leaders", re.MULTILINE)


class Lane:
    """An agent with several tasks: it repeats each report until it is acknowledged, and records when that is."""

    def __init__(self, url: str, token: str, tasks: Sequence[str]) -> None:
        self.acknowledged: dict[str, list[str]] = {task: [] for task in tasks}
        """[task] The event ids, in order; report N has N kilobytes."""
        self.acks_at_s: list[float] = [time.monotonic()]
        self.longest_request_s = 0.0
        self.unanswered = 0
        """Requests that had no answer within a minute, on an open connection."""
        self.refused: dict[int, int] = {}
        """[status] How many answers that were not 200; 0: no answer."""
        self._url, self._token = url, token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._report, daemon=True)
        self._http = urllib3.PoolManager(timeout=60, retries=False)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The report under way is still repeated until it is acknowledged."""
        self._stop.set()
        self._thread.join(180)
        assert not self._thread.is_alive(), "a report is not acknowledged within three minutes"

    def gap_s(self, since_s: float, until_s: float) -> float:
        """The longest time between two acknowledgements, of which the second lies in this interval."""
        times = [each for each in self.acks_at_s if each <= until_s]
        pairs = itertools.pairwise(times)
        gaps = [after - before for before, after in pairs if after >= since_s]
        return max([*gaps, until_s - times[-1]])

    def _report(self) -> None:
        while not self._stop.is_set():
            for task in self.acknowledged:
                self._report_once(task)
                time.sleep(PAUSE_S)

    def _report_once(self, task: str) -> None:
        number = len(self.acknowledged[task]) + 1
        body = {
            "subtask_name": "MIGRATE_LINUX_FILE",
            "progress": min(99, number // 1_000),
            "replicatesize": number * 1_000,
            "totalsize": 1 << 40,
            "process_trace": f"part {number}",
        }
        key = f"{task}-{number}"
        headers = {"X-Auth-Token": self._token, "Content-Type": "application/json", "Idempotency-Key": key}
        while True:
            began_s = time.monotonic()
            status = 0
            try:
                url = f"{self._url}/v3/tasks/{task}/progress"
                status = self._http.request("PUT", url, body=json.dumps(body).encode(), headers=headers).status
            except urllib3.exceptions.ReadTimeoutError:
                self.unanswered += 1
            except urllib3.exceptions.HTTPError:
                pass
            now_s = time.monotonic()
            self.longest_request_s = max(self.longest_request_s, now_s - began_s)
            if status == 200:
                self.acknowledged[task].append(idempotent_event_id(PROJECT, task, key))
                self.acks_at_s.append(now_s)
                return
            self.refused[status] = self.refused.get(status, 0) + 1
            time.sleep(0.1)


class Rows:
    """Follows the state topic as any reader would: the newest bytes of each task, read_committed."""

    def __init__(self, bootstrap_servers: str, topics: Topics) -> None:
        self.bytes: dict[str, int] = {}
        config = {"bootstrap.servers": bootstrap_servers, "group.id": "chaos-rows", "log_level": 0}
        self._consumer = Consumer(config | {"isolation.level": "read_committed", "auto.offset.reset": "earliest"})
        self._consumer.assign([TopicPartition(topics.state.name, each, 0) for each in range(topics.partitions)])
        self._reader = RecordReader(TableIds(), "SeriesState")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(1_000, 0.05):
                if message.error() is None and message.value() is not None:
                    row = self._reader.read(message.value())
                    self.bytes[row["task_id"]] = row["replicatesize"]

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()


class Rig:
    """`with Rig(faulty, folder) as rig:` runs an edge, two workers and agents on the cluster.

    Edge and workers use the proxies; rows and roles are read from the brokers themselves.
    """

    def __init__(self, faulty: FaultyCluster, folder: Path) -> None:
        self.faulty = faulty
        self.cluster = cluster = faulty.brokers
        self.topics = Topics("chaos", partitions=PARTITIONS)
        self.died: list[str] = []
        """Processes that ended by themselves, each with its exit code and last lines."""
        self._folder = folder
        self._commands: dict[str, tuple[str, ...]] = {}
        self._processes: dict[str, GuardedProcess] = {}
        self._admin = AdminClient(cluster.client.config(log_level=0))
        self._at_end = ExitStack()

    def __enter__(self) -> Self:
        create_topics(self.cluster.client.config(), self.topics)
        token = secrets.token_urlsafe(16)
        tokens = self._folder / "tokens.jsonl"
        write_private(tokens, token_line(token, PROJECT, [Role.REPORT]) + "\n")
        edge, *metrics = free_ports(1 + len(WORKERS))
        url = f"http://127.0.0.1:{edge}"
        options = ("--bootstrap-servers", self.faulty.for_clients, "--prefix", self.topics.prefix)
        taskstream = (sys.executable, "-P", "-m", "taskstream")
        self._commands["edge"] = (*taskstream, "edge", *options, "--port", str(edge), "--tokens", str(tokens))
        for name, port in zip(WORKERS, metrics, strict=True):
            more = ("--instance", name, "--metrics-port", str(port), "--bucket", str(BUCKET_S))
            self._commands[name] = (*taskstream, "worker", *options, *more)
        for name in self._commands:
            self._start(name)
        self._at_end.callback(self._stop_all)
        wait_until(lambda: self.restart_died() == [] and http_answers(f"{url}/readyz", 1.0))
        for port in metrics:
            wait_until(lambda port=port: http_answers(f"http://127.0.0.1:{port}/readyz", 1.0))
        self.rows = Rows(self.cluster.bootstrap_servers, self.topics)
        self._at_end.callback(self.rows.close)
        names = [f"task-{number}" for number in range(TASKS)]
        self.lanes = [Lane(url, token, names[lane::LANES]) for lane in range(LANES)]
        for lane in self.lanes:
            lane.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._at_end.close()

    # what is true from outside

    def acknowledged(self) -> dict[str, int]:
        """[task] The bytes of the newest acknowledged report."""
        return {task: 1_000 * len(ids) for lane in self.lanes for task, ids in [*lane.acknowledged.items()]}

    def event_ids(self) -> set[str]:
        return {each for lane in self.lanes for ids in lane.acknowledged.values() for each in ids}

    def rows_have(self, wanted: dict[str, int]) -> bool:
        """Whether the row of each task has these bytes or more."""
        return all(self.rows.bytes.get(task, 0) >= count for task, count in wanted.items())

    def ack_gap_s(self, since_s: float, until_s: float) -> float:
        """The longest time that one agent was without an acknowledgement."""
        return max(lane.gap_s(since_s, until_s) for lane in self.lanes)

    def is_whole(self) -> bool:
        """Whether every replica of every partition is in sync."""
        try:
            found = self._admin.list_topics(timeout=5)
        except KafkaException:
            return False
        replicas = [each for topic in found.topics.values() for each in topic.partitions.values()]
        return len(found.brokers) == 3 and all(len(each.isrs) == len(each.replicas) for each in replicas)

    def elected_s(self, since: datetime, victims: Collection[int]) -> float | None:
        """Seconds from `since`, in local time, until another node than the victims was made the leader of partitions."""
        times = [
            found
            for number, node in self.cluster.nodes.items()
            if number not in victims
            for found in map(_log_time, ELECTED.findall(node.log_file.read_text(errors="replace")))
            if found >= since
        ]
        return (min(times) - since).total_seconds() if times else None

    # roles

    def controller(self) -> int:
        """The node whose log has the newest word of having become the active controller."""
        pattern = re.compile(r"Becoming the active controller at epoch (\d+)")
        epochs = {
            number: max(map(int, pattern.findall(node.log_file.read_text(errors="replace"))), default=-1)
            for number, node in self.cluster.nodes.items()
        }
        return max(epochs, key=lambda number: epochs[number])

    def leader(self, topic: str, partition: int) -> int:
        return wait_until(lambda: self._leader(topic, partition))

    def group_coordinator(self) -> int:
        return self.leader("__consumer_offsets", java_hash(f"{self.topics.prefix}.worker") % 4)

    def transaction_coordinator(self, worker: str = WORKERS[0]) -> int:
        return self.leader("__transaction_state", java_hash(f"{self.topics.prefix}.worker.{worker}") % 4)

    def _leader(self, topic: str, partition: int) -> int:
        try:
            found = self._admin.list_topics(topic, timeout=5).topics[topic].partitions
        except KafkaException:
            return 0
        return max(0, found[partition].leader) if partition in found else 0

    # processes

    def kill(self, name: str) -> None:
        """SIGKILL, and start it again at once, as a supervisor does."""
        self.restart_died()
        self._processes[name].kill()
        self._start(name)

    def signal(self, name: str, signum: signal.Signals) -> None:
        self._processes[name].signal(signum)

    def restart_died(self) -> list[str]:
        """Start processes again that ended by themselves; gives them, and adds them to `died`."""
        died = []
        for name, process in [*self._processes.items()]:
            if (code := process.poll()) is not None:
                died.append(f"{name} exit {code}: {process.last_lines(3)}")
                self._start(name)
        self.died += died
        return died

    def wait(self, condition: Callable[[], bool], limit_s: float) -> float:
        """Seconds until it is so; the processes that end meanwhile are started again. -1: not within the limit."""
        began_s = time.monotonic()
        while not condition():
            self.restart_died()
            if time.monotonic() - began_s > limit_s:
                return -1.0
            time.sleep(0.02)
        return time.monotonic() - began_s

    def sleep(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def stop_agents(self) -> None:
        for lane in self.lanes:
            lane.stop()

    def _start(self, name: str) -> None:
        process = GuardedProcess(self._commands[name], self._folder / f"{name}.log")
        process.start()
        self._processes[name] = process

    def _stop_all(self) -> None:
        for process in self._processes.values():
            process.signal(signal.SIGCONT)
            process.stop(20)


def _log_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f")  # noqa: DTZ007 # Kafka logs local time


def java_hash(text: str) -> int:
    """Java's String.hashCode as Kafka's coordinators use it: without its sign."""
    value = 0
    for unit in text:
        value = (31 * value + ord(unit)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def copies(ids: Iterator[Any]) -> int:
    """How many of these occur more than once, counted once for each further time."""
    found = list(ids)
    return len(found) - len(set(found))
