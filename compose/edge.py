"""Puts the edge together from its settings. It knows every part of the edge and opens none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from taskstream.compose.callers import CallerSettings, build_callers
from taskstream.compose.librdkafka import KafkaClient
from taskstream.producer.acks import AckedProducer, producer_config
from taskstream.producer.admission import Limits
from taskstream.producer.app import Edge
from taskstream.producer.batch import BatchEndpoint
from taskstream.producer.counts import EdgeCounts
from taskstream.producer.event import EventWriter
from taskstream.producer.express import ExpressLane
from taskstream.producer.intake import Intake
from taskstream.producer.metrics import LibrdkafkaStats, Metrics
from taskstream.producer.progress import ProgressEndpoint
from taskstream.producer.readiness import Readiness, Watch
from taskstream.producer.refusals import Refusals
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """What an edge is made of."""

    kafka: KafkaClient
    topics: Topics
    ids: SchemaIds
    callers: CallerSettings
    limits: Limits = field(default_factory=Limits)
    metrics_folder: Path | None = None
    """Where several workers leave their numbers for each other."""


def build_edge(
    settings: EdgeSettings, worker: int = 0, make_acks: Callable[..., AckedProducer] = AckedProducer
) -> Edge:
    """An edge that has not connected yet. `make_acks` is for measuring other ways to await acks.

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
        on_stats=stats.take,
    )
    readiness, counts = Readiness(), EdgeCounts()
    intake = Intake(build_callers(settings.callers), acks, readiness, limits, counts)
    writer = EventWriter(settings.ids)
    metrics = Metrics(acks, readiness, counts, stats, folder=settings.metrics_folder, worker=worker)
    progress = ProgressEndpoint(intake, writer, acks, limits)
    batch = BatchEndpoint(intake, writer, acks, limits)
    refusals = Refusals(counts)
    express = ExpressLane(intake, progress, acks, refusals, limits.body_bytes)
    return Edge(progress, batch, acks, readiness, Watch(readiness, acks), metrics, refusals, express)
