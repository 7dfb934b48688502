"""A producer that librdkafka declares dead, on a real broker: it is replaced in place, and nobody is told a lie.

Provoked truly: with librdkafka's guarantee of no gaps, a record that the broker refuses for its size is a fatal error.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.brokers import set_topic
from tests.producer.edges import REPORT, RunningEdge, running_edge
from tests.waiting import wait_until

RECORD_BYTES = 1_500
NO_GAPS = {"enable.idempotence": "true", "enable.gapless.guarantee": "true", "batch.num.messages": "1"}
"""And a record a batch: what shares a batch with one that is too long shares its fate."""
LONG = {**REPORT, "process_trace": "x" * 2_000}
"""The API allows it, and the topic of this test does not."""


def test_a_fatal_error_is_healed_in_place(broker, topic_prefix, tmp_path):
    topics = Topics(topic_prefix, partitions=3)
    create_topics(broker.config(), topics)
    set_topic(broker, topics.progress.name, "max.message.bytes", str(RECORD_BYTES))
    with running_edge(broker, topics.prefix, tmp_path, properties=NO_GAPS) as edge, Reports(edge, "a") as reports:
        wait_until(lambda: reports.statuses[200] > 20)
        for deaths in (1, 2):
            before = reports.statuses[200]
            assert edge.put(elsewhere(edge, "a"), LONG).status in {413, 503}
            wait_until(lambda deaths=deaths: rebuilds(edge) == deaths)
            wait_until(lambda before=before: reports.statuses[200] > before + 20)
        wait_until(lambda: edge.get("/readyz").status == 200)
        assert edge.process.poll() is None
        assert rebuilds(edge) == 2, "a dead producer's last words kill no other"
    assert set(reports.statuses) <= {200, 503}
    assert reports.wrongly_refused == []
    assert edge.log.read_text().count("Traceback") == 0


class Reports:
    """Reports of one task in a row, until left; `statuses` counts the answers."""

    def __init__(self, edge: RunningEdge, task_id: str) -> None:
        self._edge = edge
        self._task_id = task_id
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(4)]
        self.statuses: Counter[int] = Counter()
        self.wrongly_refused: list[Any] = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        while not self._over.wait(0.005):
            answer = self._edge.put(self._task_id)
            self.statuses[answer.status] += 1
            if answer.status != 200 and not (answer.json()["retriable"] and "Retry-After" in answer.headers):
                self.wrongly_refused.append(answer.json())


def elsewhere(edge: RunningEdge, task_id: str) -> str:
    """A task on another partition."""
    home = partition_of(edge, task_id)
    return next(other for other in map(str, range(50)) if partition_of(edge, other) != home)


def partition_of(edge: RunningEdge, task_id: str) -> str:
    found: list[str] = []

    def told() -> bool:
        found[:] = [value for name, value in edge.put(task_id).headers.items() if name.lower() == "x-partition"]
        return bool(found)

    wait_until(told)
    return found[0]


def rebuilds(edge: RunningEdge) -> int:
    lines = edge.get("/metrics").data.decode().splitlines()
    return sum(
        int(float(line.split()[-1])) for line in lines if line.startswith("taskstream_edge_producer_rebuilds_total")
    )
