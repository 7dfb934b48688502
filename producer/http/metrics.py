"""/metrics in Prometheus' text format, made on request from plain counts and from librdkafka's statistics.

Several worker processes write their metrics into one folder, so that each of them can report the metrics of all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.acks.delivery import LATENCY_BOUNDS_S
from taskstream.producer.admission.counts import EdgeCounts
from taskstream.producer.admission.readiness import Readiness
from taskstream.schemas.http.api_error import KINDS
from taskstream.schemas.recurring import Recurring

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4.encode()
WRITE_INTERVAL_S: Final = 2.0
STALE_S: Final = 10.0
"""A worker that has not written its metrics for this long hangs or has died."""
REASONS: Final = (
    "BROKER_NOT_AVAILABLE",
    "CLUSTER_AUTHORIZATION_FAILED",
    "FATAL",
    "INVALID_MSG",
    "INVALID_TIMESTAMP",
    "KAFKA_STORAGE_ERROR",
    "LEADER_NOT_AVAILABLE",
    "MSG_SIZE_TOO_LARGE",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "NOT_LEADER_FOR_PARTITION",
    "OTHER",
    "OVERDUE",
    "POLICY_VIOLATION",
    "QUEUE_FULL",
    "REQUEST_TIMED_OUT",
    "SHUTDOWN",
    "TOPIC_AUTHORIZATION_FAILED",
    "UNKNOWN_TOPIC_OR_PART",
    "UNPROVEN",
    "_ALL_BROKERS_DOWN",
    "_AUTHENTICATION",
    "_MSG_TIMED_OUT",
    "_PURGE_INFLIGHT",
    "_PURGE_QUEUE",
    "_QUEUE_FULL",
    "_TIMED_OUT",
    "_TRANSPORT",
    "_UNKNOWN_PARTITION",
    "_UNKNOWN_TOPIC",
)
"""Labels of `unacknowledged`, which exist from the start: `increase` does not see the value a counter begins with."""
_P: Final = "taskstream_edge"


class LibrdkafkaStats:
    """The latest statistics of librdkafka, reduced to a few numbers."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}

    def update(self, text: str) -> None:
        """The producer's statistics callback; `text` is librdkafka's JSON."""
        stats: dict[str, Any] = json.loads(text)
        brokers = [each for each in stats.get("brokers", {}).values() if each.get("nodeid", -1) >= 0]
        self.numbers = {
            "queue_messages": stats["msg_cnt"],
            "queue_bytes": stats["msg_size"],
            "transmitted_messages": stats["txmsgs"],
            "transmitted_bytes": stats["txmsg_bytes"],
            "request_errors": sum(each["txerrs"] for each in brokers),
            "request_retries": sum(each["txretries"] for each in brokers),
            "request_timeouts": sum(each["req_timeouts"] for each in brokers),
            "brokers_up": sum(each["state"] == "UP" for each in brokers),
            "broker_rtt_p99_seconds": max((each["rtt"]["p99"] for each in brokers), default=0) / 1e6,
        }


class EdgeMetrics(Collector):
    """The metrics of the edge; while it is entered, this worker's file in `folder` is kept up to date."""

    def __init__(
        self,
        acks: AckedProducer,
        readiness: Readiness,
        counts: EdgeCounts,
        stats: LibrdkafkaStats,
        *,
        folder: Path | None = None,
        worker: int = 0,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        """`clock_s`: the time of files, in seconds since 1970."""
        self._clock_s = clock_s
        self._acks = acks
        self._readiness = readiness
        self._counts = counts
        self._stats = stats
        self._folder = folder
        self._worker = str(worker)
        self._writing = (
            None if folder is None else Recurring("writing metrics", self._write, WRITE_INTERVAL_S, at_once=True)
        )

    async def __aenter__(self) -> None:
        if self._writing is not None:
            self._writing.start()

    async def __aexit__(self, *_: object) -> None:
        if self._writing is not None:
            await self._writing.stop()

    def exposition(self) -> bytes:
        """The metrics of all workers, as text.

        Of a worker that hangs or has died, `worker_up` is 0, and there are no other gauges. Its counters stay as
        they were: they neither go back nor are missing from a sum, until the worker that replaces it writes.
        """
        families = {family.name: family for family in self.collect()}
        up = GaugeMetricFamily(
            f"{_P}_worker_up", "1 while the worker process writes its metrics, else 0.", labels=["worker"]
        )
        up.add_metric([self._worker], 1)
        for worker, text, alive in self._other_workers():
            up.add_metric([worker], int(alive))
            for family in text_string_to_metric_families(text):
                if family.name in families and (alive or family.type != "gauge"):
                    families[family.name].samples.extend(family.samples)
        return _text(_Collected([*families.values(), up]))

    def collect(self) -> Iterator[Metric]:
        """The metrics of this worker."""
        acks, counts = self._acks.counts, self._counts
        yield self._counter("reports", "Reports accepted: Kafka acknowledged them.", counts.accepted)
        yield self._counter(
            "acknowledged", "Events that Kafka acknowledged, including the edge's own probes.", acks.acked
        )
        refused = CounterMetricFamily(
            f"{_P}_refused", "Requests that ended with an error response.", labels=["worker", "status", "code"]
        )
        for kind in KINDS:
            refused.add_metric([self._worker, str(kind.status), kind.code], counts.refused[kind])
        yield refused
        failed = CounterMetricFamily(
            f"{_P}_unacknowledged", "Events that Kafka did not acknowledge.", labels=["worker", "reason"]
        )
        for reason, number in _by_known_reason(acks.by_reason).items():
            failed.add_metric([self._worker, reason], number)
        yield failed
        yield self._counter(
            "unknown_fields", "Fields of reports that this version does not know.", counts.unknown_fields
        )
        yield self._counter("producer_rebuilds", "Producers replaced after a fatal error.", acks.rebuilds)
        yield self._gauge("in_flight", "Reports produced and not yet acknowledged.", self._acks.in_flight)
        yield self._gauge("queue_depth", "Events in librdkafka's queues.", self._acks.queue_depth)
        yield self._gauge("ready", "1 while the edge accepts reports.", int(self._readiness.ready))
        yield self._latency()
        for name, value in self._stats.numbers.items():
            yield self._gauge(f"kafka_{name}", "From librdkafka's statistics.", value)

    def _latency(self) -> Metric:
        counts = self._acks.counts
        buckets, total = [], 0
        for bound, number in zip((*map(str, LATENCY_BOUNDS_S), "+Inf"), counts.latency, strict=True):
            total += number
            buckets.append((bound, total))
        latency = HistogramMetricFamily(f"{_P}_ack_seconds", "From produce to acknowledgement.", labels=["worker"])
        latency.add_metric([self._worker], buckets, counts.latency_sum_s)
        return latency

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(f"{_P}_{name}", text, labels=["worker"])
        family.add_metric([self._worker], value)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"{_P}_{name}", text, labels=["worker"])
        family.add_metric([self._worker], value)
        return family

    def _write(self) -> None:
        """Write this worker's metrics where the other workers read them."""
        assert self._folder is not None, "it is only written where there is a folder"
        path = self._folder / f"{self._worker}.prom"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(_text(self))
        fresh.replace(path)

    def _other_workers(self) -> Iterator[tuple[str, str, bool]]:
        """Each other worker: its number, its metrics as it wrote them last, whether it still writes them."""
        if self._folder is not None:
            for path in sorted(self._folder.glob("*.prom")):
                if path.stem != self._worker:
                    age_s = self._clock_s() - path.stat().st_mtime
                    yield path.stem, path.read_text("utf-8"), age_s < STALE_S


def _by_known_reason(counts: Mapping[str, int]) -> dict[str, int]:
    known = dict.fromkeys(REASONS, 0)
    for reason, number in counts.items():
        known[reason if reason in known else "OTHER"] += number
    return known


class _Collected(Collector):
    """Metric families that were collected before."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _text(collector: Collector) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)
