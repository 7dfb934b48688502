"""Builds the edge from its settings. It knows every part of the edge and opens none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.server.callers import CallerSettings, build_callers
from taskstream.producer.acks.acked_producer import AckedProducer, producer_config
from taskstream.producer.acks.partition_watch import PartitionWatch
from taskstream.producer.acks.topic_rights import TopicRights
from taskstream.producer.admission.admission import Admission
from taskstream.producer.admission.counts import EdgeCounts
from taskstream.producer.admission.limits import Limits
from taskstream.producer.admission.readiness import Readiness, ReadinessWatch
from taskstream.producer.events.event_builder import EventBuilder
from taskstream.producer.http.application import Edge
from taskstream.producer.http.batch_endpoint import BatchEndpoint
from taskstream.producer.http.express_report import ExpressLane
from taskstream.producer.http.metrics import EdgeMetrics, LibrdkafkaStats
from taskstream.producer.http.progress_endpoint import ProgressEndpoint, now_us
from taskstream.producer.http.refusals import Refusals
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """The settings of an edge."""

    kafka: KafkaClient
    topics: Topics
    ids: SchemaIds
    callers: CallerSettings
    limits: Limits = field(default_factory=Limits)
    metrics_folder: Path | None = None
    """Where several workers exchange their metrics."""


def build_edge(
    settings: EdgeSettings,
    worker: int = 0,
    make_acks: Callable[..., AckedProducer] = AckedProducer,
    clock_us: Callable[[], int] = now_us,
) -> Edge:
    """An edge that is not connected yet. `make_acks` lets benchmarks measure other ways to await acks.

    clock_us: the clock of the times of receipt, in microseconds since 1970.

    Raises:
        CredentialsUnusable: a file of credentials cannot be used.
    """
    limits, topics = settings.limits, settings.topics
    config = producer_config(
        settings.kafka.config(), ack_timeout_s=limits.ack_timeout_s, queue_limit=limits.queued_events
    )
    stats = LibrdkafkaStats()
    acks = make_acks(
        topics.progress.name,
        topics.probe.name,
        config,
        ack_timeout_s=limits.ack_timeout_s,
        on_stats=stats.update,
    )
    readiness, counts = Readiness(), EdgeCounts()
    admission = Admission(build_callers(settings.callers), acks, readiness, limits, counts)
    event_builder = EventBuilder(settings.ids)
    metrics = EdgeMetrics(acks, readiness, counts, stats, folder=settings.metrics_folder, worker=worker)
    progress = ProgressEndpoint(admission, event_builder, acks, limits, clock_us)
    batch = BatchEndpoint(admission, event_builder, acks, limits, clock_us)
    refusals = Refusals(counts)
    express = ExpressLane(admission, progress, acks, refusals, limits.body_bytes)
    partitions = PartitionWatch(settings.kafka.config(), topics.progress.name, topics.state.name)
    rights = TopicRights(settings.kafka.config(), topics.progress.name, partitions)
    watch = ReadinessWatch(readiness, acks, clock_us, topic=rights, partitions=partitions)
    return Edge(progress, batch, acks, readiness, watch, metrics, refusals, express)
