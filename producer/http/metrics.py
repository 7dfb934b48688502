"""/metrics in Prometheus' form: made from plain counts when it is asked for, and from librdkafka's statistics.

Several worker processes leave theirs in one folder, so that whichever is asked answers for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.acks.delivery import LATENCY_BOUNDS_S
from taskstream.producer.http.counts import EdgeCounts
from taskstream.producer.http.readiness import Readiness

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4.encode()
LEAVE_INTERVAL_S: Final = 2.0
_P: Final = "taskstream_edge"


class LibrdkafkaStats:
    """The last statistics that librdkafka told: a few numbers of the hundreds."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}

    def take(self, text: str) -> None:
        """To be given to the producer as its stats callback."""
        told: dict[str, Any] = json.loads(text)
        brokers = [each for each in told.get("brokers", {}).values() if each.get("nodeid", -1) >= 0]
        self.numbers = {
            "queue_messages": told["msg_cnt"],
            "queue_bytes": told["msg_size"],
            "transmitted_messages": told["txmsgs"],
            "transmitted_bytes": told["txmsg_bytes"],
            "request_errors": sum(each["txerrs"] for each in brokers),
            "request_retries": sum(each["txretries"] for each in brokers),
            "request_timeouts": sum(each["req_timeouts"] for each in brokers),
            "brokers_up": sum(each["state"] == "UP" for each in brokers),
            "broker_rtt_p99_seconds": max((each["rtt"]["p99"] for each in brokers), default=0) / 1e6,
        }


class EdgeMetrics(Collector):
    """`async with Metrics(...) as metrics: metrics.exposition()`."""

    def __init__(
        self,
        acks: AckedProducer,
        readiness: Readiness,
        counts: EdgeCounts,
        stats: LibrdkafkaStats,
        *,
        folder: Path | None = None,
        worker: int = 0,
    ) -> None:
        self._acks = acks
        self._readiness = readiness
        self._counts = counts
        self._stats = stats
        self._folder = folder
        self._worker = str(worker)

    async def __aenter__(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._leave()) if self._folder is not None else None

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def exposition(self) -> bytes:
        """The text, of all workers."""
        families = {family.name: family for family in self.collect()}
        for text in self._left_by_others():
            for family in text_string_to_metric_families(text):
                if family.name in families:
                    families[family.name].samples.extend(family.samples)
        return _text(_Collected(list(families.values())))

    def collect(self) -> Iterator[Metric]:
        """This worker's own."""
        acks, counts = self._acks.counts, self._counts
        yield self._counter("reports", "Reports taken: Kafka has them.", counts.taken)
        yield self._counter("acknowledged", "Events that Kafka acknowledged, our own probes among them.", acks.acked)
        refused = CounterMetricFamily(f"{_P}_refused", "Requests refused.", labels=["worker", "status", "code"])
        for kind, number in counts.refused.items():
            refused.add_metric([self._worker, str(kind.status), kind.code], number)
        yield refused
        failed = CounterMetricFamily(f"{_P}_unacknowledged", "Events not acknowledged.", labels=["worker", "reason"])
        for reason, number in acks.by_reason.items():
            failed.add_metric([self._worker, reason], number)
        yield failed
        yield self._counter("unknown_fields", "Fields of reports that are not known here.", counts.unknown_fields)
        yield self._counter("producer_rebuilds", "Producers that died and were replaced.", acks.rebuilds)
        yield self._gauge("in_flight", "Reports produced and not yet acknowledged.", self._acks.in_flight)
        yield self._gauge("queue_depth", "Events in librdkafka's queues.", self._acks.queue_depth)
        yield self._gauge("ready", "Whether reports are welcome.", int(self._readiness.ready))
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

    async def _leave(self) -> None:
        """Keep our own numbers where the other workers find them."""
        assert self._folder is not None, "only started with a folder"
        mine = self._folder / f"{self._worker}.prom"
        while True:
            fresh = mine.with_suffix(".new")
            fresh.write_bytes(_text(self))
            fresh.replace(mine)
            await asyncio.sleep(LEAVE_INTERVAL_S)

    def _left_by_others(self) -> Iterator[str]:
        if self._folder is not None:
            for path in sorted(self._folder.glob("*.prom")):
                if path.stem != self._worker:
                    yield path.read_text("utf-8")


class _Collected(Collector):
    """Families that are already there."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _text(collector: Collector) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)
