"""Puts the view together from its settings. It knows every part of the view and opens none of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from compose.callers import CallerSettings, build_callers
from compose.librdkafka import KafkaClient
from consumer.table import Settings
from consumer.view.app import View
from consumer.view.board import Board
from consumer.view.follow import StateFollower
from schemas.ids import SchemaIds
from schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """What a view is made of."""

    kafka: KafkaClient
    topics: Topics
    ids: SchemaIds
    callers: CallerSettings
    fold: Settings = field(default_factory=Settings)


def build_view(settings: ViewSettings) -> View:
    """A view that has not connected yet.

    Raises:
        CredentialsUnusable: a file of credentials cannot be used.
    """
    follower = StateFollower(settings.kafka.config(), settings.topics.state.name, settings.ids)
    return View(Board(settings.fold), follower, build_callers(settings.callers))
