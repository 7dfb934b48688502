"""Follows a topic from the event loop: each batch read on a thread of its own, and kept until it could be decoded.

It knows neither what the records say nor who keeps what they said.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, Protocol, Self, TypeVar

from confluent_kafka import Message

from taskstream.consumer.view.follow.follow_progress import FollowProgress
from taskstream.consumer.view.follow.followed_topic import FollowedTopic
from taskstream.schemas.errors import RegistryFailed

RETRY_S: Final = 0.5
"""Between two attempts to decode a batch for which the schema registry did not answer."""


class Batched(Protocol):
    """What one batch says."""

    @property
    def unreadable(self) -> int:
        """Records of the batch that could not be read."""
        ...


Said = TypeVar("Said", bound=Batched)
Said_co = TypeVar("Said_co", bound=Batched, covariant=True)


class BatchDecoder(Protocol[Said_co]):
    """Makes of a batch of records what they say."""

    def take(self, records: Sequence[Message]) -> Said_co:
        """What they say.

        Raises:
            RegistryFailed: a schema had to be looked up, and the registry did not answer.
        """
        ...


class Follower(Generic[Said]):
    """`async with Follower(...) as follower: news = await follower.news()`, again and again.

    Kafka or a registry that is away is waited for; `progress.problem` says so meanwhile.
    """

    def __init__(self, topic: FollowedTopic, taker: BatchDecoder[Said]) -> None:
        self._topic = topic
        self._taker = taker
        self._owed: list[Message] = []
        """Records read and not decoded yet, because the registry did not answer."""

    @property
    def progress(self) -> FollowProgress:
        """How far it has come."""
        return self._topic.progress

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, "follow")
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._topic.close)
        self._thread.shutdown()

    async def news(self) -> Said | None:
        """What the next batch says; None after a moment without records, or while they cannot be decoded."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._round)

    def _round(self) -> Said | None:
        if not self._owed:
            self._owed = self._topic.batch()
        said: Said | None = None
        if self._owed:
            try:
                said = self._taker.take(self._owed)
            except RegistryFailed as error:
                self.progress.problem = f"the schema registry: {error}"
                time.sleep(RETRY_S)
                return None
            self.progress.problem = None
            self.progress.unreadable += said.unreadable
            self._owed = []
        self.progress.look()
        return said
