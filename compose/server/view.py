"""Builds the view from its settings. It knows every part of the view and opens none of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.server.callers import CallerSettings, build_callers
from taskstream.compose.sign_in_codes import SignInCodes
from taskstream.consumer.history.rate_history import RateHistory
from taskstream.consumer.kafka.consumer_groups import GroupLags
from taskstream.consumer.kafka.direct.best_fetch import best_fetch
from taskstream.consumer.kafka.state_decoder import StateDecoder
from taskstream.consumer.notes.note_decoder import NoteDecoder
from taskstream.consumer.notes.note_writer import NoteWriter
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.task_context.task_context import TaskContext
from taskstream.consumer.view.follow.followed_topic import FollowedTopic
from taskstream.consumer.view.follow.follower import Follower
from taskstream.consumer.view.follow.pipeline_watch import ASK_INTERVAL_S, PipelineWatch
from taskstream.consumer.view.http.application import View
from taskstream.consumer.view.http.sse_response import PER_PROJECT
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.signal_decoder import SignalDecoder
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

if TYPE_CHECKING:
    from taskstream.compose.server.oidc import OidcSettings
    from taskstream.consumer.view.oidc.sign_in import OidcSignIn

SIGNALS_BACK_S: Final = 7 * 86_400.0
"""The oldest signals that a view reads at its start: as old as the last report of a series may be."""
BEHIND_LIMIT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """The settings of a view."""

    kafka: KafkaClient
    topics: Topics
    ids: SchemaIds
    callers: CallerSettings
    fold: Settings = field(default_factory=Settings)
    group: str | None = None
    """The workers' consumer group; None: that of workers without an option of their own."""
    streams_per_project: int = PER_PROJECT
    """How many event streams callers of one project may have open."""
    behind_limit_s: float = BEHIND_LIMIT_S
    """How far the workers may be behind before the view says so, in seconds."""
    context: TaskContext = field(default_factory=TaskContext)
    sign_in_codes: Path | None = None
    """The folder of the codes that sign a browser in once; None: there are none."""
    oidc: OidcSettings | None = None
    """How people sign in with an OpenID Connect provider; None: they cannot."""


def build_view(settings: ViewSettings, now_us: Callable[[], int]) -> View:
    """A view that is not connected yet; `now_us` is its clock, microseconds since 1970.

    Raises:
        CredentialsUnusable: a file of credentials cannot be used.
    """
    config, topics = settings.kafka.config(), settings.topics
    of_states = Follower(
        FollowedTopic(config, topics.state.name, equals=topics.progress.name, new_fetch=best_fetch),
        StateDecoder(settings.ids),
    )
    of_signals = Follower(FollowedTopic(config, topics.signals.name, SIGNALS_BACK_S), SignalDecoder(settings.ids))
    group = settings.group or f"{topics.prefix}.worker"
    # a bucket is the shortest limit of silence: the lag must be known long before it passes
    interval_s = min(ASK_INTERVAL_S, max(settings.fold.bucket_s / 8, 0.25))
    watch = PipelineWatch(GroupLags(config), group, topics.progress.name, settings.behind_limit_s, now_us, interval_s)
    sign_in = _sign_in(settings, now_us)
    callers = build_callers(settings.callers, *([] if sign_in is None else [sign_in]))
    of_notes = Follower(FollowedTopic(config, topics.notes.name), NoteDecoder(settings.ids))
    return View(
        ReadModel(settings.fold),
        of_states,
        of_signals,
        callers,
        now_us,
        watch,
        settings.streams_per_project,
        of_notes,
        NoteWriter(config, topics.notes.name, settings.ids),
        RateHistory(config, topics.rates.name, settings.ids),
        settings.context,
        None if settings.sign_in_codes is None else SignInCodes(settings.sign_in_codes).take,
        sign_in,
    )


def _sign_in(settings: ViewSettings, now_us: Callable[[], int]) -> OidcSignIn | None:
    if settings.oidc is None:
        return None
    oidc = importlib.import_module("taskstream.compose.server.oidc")  # needs an extra
    built: OidcSignIn = oidc.build_sign_in(settings.oidc, now_us, behind_proxy=settings.callers.behind_proxy)
    return built
