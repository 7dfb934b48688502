"""Puts the view together from its settings. It knows every part of the view and opens none of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import structlog

from compose.librdkafka import KafkaClient
from consumer.table import Settings
from consumer.view.app import View
from consumer.view.board import Board
from consumer.view.follow import StateFollower
from producer.callers.row import Row
from producer.callers.token_file import TokenFile
from schemas.ids import SchemaIds
from schemas.topics import Topics

_log = structlog.get_logger("taskstream.view")


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """What a view is made of."""

    kafka: KafkaClient
    topics: Topics
    ids: SchemaIds
    tokens: Path
    fold: Settings = field(default_factory=Settings)


def build_view(settings: ViewSettings) -> View:
    """A view that has not connected yet.

    Raises:
        CredentialsUnusable: the token file cannot be used.
    """
    tokens = TokenFile(settings.tokens, on_problem=lambda problem: _log.warning("tokens_unreadable", problem=problem))
    tokens.load()
    follower = StateFollower(settings.kafka.config(), settings.topics.state.name, settings.ids)
    return View(Board(settings.fold), follower, Row([tokens]))
