"""Puts the edge together from its settings. It knows every part of the edge and opens none of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import structlog

from compose.librdkafka import KafkaClient
from producer.acks import AckedProducer, producer_config
from producer.admission import Limits
from producer.app import Edge
from producer.batch import BatchEndpoint
from producer.callers.row import Row
from producer.callers.token_file import TokenFile
from producer.event import EventWriter
from producer.intake import Intake
from producer.progress import ProgressEndpoint
from producer.readiness import Readiness, Watch
from schemas.ids import SchemaIds
from schemas.topics import Topics

_log = structlog.get_logger("taskstream.edge")


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What an edge is made of."""

    kafka: KafkaClient
    topics: Topics
    ids: SchemaIds
    tokens: Path
    limits: Limits = field(default_factory=Limits)


def build_edge(settings: EdgeSettings) -> Edge:
    """An edge that has not connected yet.

    Raises:
        CredentialsUnusable: the token file cannot be used.
    """
    limits = settings.limits
    tokens = TokenFile(settings.tokens, on_problem=lambda problem: _log.warning("tokens_unreadable", problem=problem))
    tokens.load()
    config = producer_config(
        settings.kafka.config(), ack_timeout_s=limits.ack_timeout_s, queue_limit=limits.queued_events
    )
    topics = settings.topics
    acks = AckedProducer(topics.progress.name, topics.probe.name, config, ack_timeout_s=limits.ack_timeout_s)
    readiness = Readiness()
    intake = Intake(Row([tokens]), acks, readiness, limits)
    writer = EventWriter(settings.ids)
    progress = ProgressEndpoint(intake, writer, acks, limits)
    batch = BatchEndpoint(intake, writer, acks, limits)
    return Edge(progress, batch, acks, readiness, Watch(readiness, acks))
