"""SIGKILL of each process of the stack while an agent reports: it recovers, and every acknowledged report is there."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest
import urllib3

from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.client.progress_client import ProgressClient, Report
from taskstream.producer.events.event_builder import idempotent_event_id
from taskstream.schemas.topics import Topics
from tests.compose.local.test_up import Running
from tests.pipeline.streams import newest_by_key, read_all, records
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

TASK = "kills"


class Reporting:
    """An agent that reports in a loop, and repeats each report until it is acknowledged."""

    def __init__(self, edge_url: str, token: str) -> None:
        self.acknowledged: list[str] = []
        self.retried = 0
        self._stop = threading.Event()
        self._client = ProgressClient(edge_url, AuthToken.of(token))
        self._thread = threading.Thread(target=self._report)

    def _report(self) -> None:
        while not self._stop.wait(0.005):
            number = len(self.acknowledged) + 1
            report = Report(
                "MIGRATE_LINUX_FILE", min(99, number // 100), number * 1000, 1_000_000_000, f"part {number}"
            )
            answer = self._client.report(TASK, report, deadline_s=120)
            self.acknowledged.append(answer.event_id)
            self.retried += answer.attempts - 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(LIMIT_S)
        self._client.close()


@pytest.mark.chaos
def test_every_acknowledged_report_is_on_the_topic_whatever_is_killed(tmp_path: Path, kafka_cache_dir: Path) -> None:
    options = ("--partitions", "2", "--cache-dir", str(kafka_cache_dir))
    with Running(tmp_path / "data", *options) as stack:
        with Reporting(stack.address("edge"), stack.token()) as agent:
            for name in ("edge", "worker-1", "view", "kafka", "edge"):
                count = len(agent.acknowledged)
                wait_until(lambda count=count: len(agent.acknowledged) > count + 50)
                dead = stack.pid(name)
                os.kill(dead, signal.SIGKILL)
                wait_until(lambda name=name, dead=dead: stack.pid(name) != dead)
        kafka = stack.address("kafka")
        topics = Topics(partitions=2)
        events = records(read_all(kafka, topics.progress.name), "ProgressReported")
        copies = Counter(event["event_id"] for event in events)
        project_id = events[0]["project_id"]
        assert set(copies) == {idempotent_event_id(project_id, TASK, key) for key in agent.acknowledged}
        assert len(events) - len(copies) <= agent.retried, "more copies of reports than there were retries"

        def folded() -> int:
            state = newest_by_key(read_all(kafka, topics.state.name))
            return sum(row["reports"] for row in records_of(state))

        # A retried report is folded once. A transactional call may hang when the broker was killed: the watchdog ends the worker, and it starts again.
        wait_until(lambda: folded() == len(copies))

        def shown() -> list[int]:
            url, headers = f"{stack.address('view')}/tasks/{TASK}", {"X-Auth-Token": stack.token()}
            task = urllib3.request("GET", url, headers=headers, retries=False, timeout=LIMIT_S).json()
            return [each["replicatesize"] for each in task["subtasks"]]

        # The view follows the topic and may be behind it for a moment.
        wait_until(lambda: shown() == [len(agent.acknowledged) * 1000])


def records_of(state: dict[str, bytes]) -> list[dict]:
    from taskstream.schemas.codec.record_codec import RecordReader
    from taskstream.schemas.ids import TableIds

    reader = RecordReader(TableIds(), "SeriesState")
    return [reader.read(value) for value in state.values()]
