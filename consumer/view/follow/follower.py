"""Follows a topic from the event loop: a thread reads each batch, and keeps it until it could be decoded.

It knows neither the records' content nor what is made of it.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, Protocol, Self, TypeVar

from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.view.follow.follow_progress import FollowProgress
from taskstream.consumer.view.follow.followed_topic import FollowedTopic
from taskstream.schemas.errors import RegistryFailed

RETRY_S: Final = 0.5
"""The pause between two attempts to decode a batch while the schema registry does not answer."""


class DecodedBatch(Protocol):
    """The decoded content of one batch."""

    @property
    def unreadable(self) -> int:
        """How many records of the batch could not be decoded."""
        ...


Decoded = TypeVar("Decoded", bound=DecodedBatch)
Decoded_co = TypeVar("Decoded_co", bound=DecodedBatch, covariant=True)


class BatchDecoder(Protocol[Decoded_co]):
    """Decodes the records of one topic."""

    def decode(self, records: SourceBatch, /) -> Decoded_co:
        """The content of a batch.

        Raises:
            RegistryFailed: a schema had to be looked up, and the registry did not answer.
        """
        ...


class Follower(Generic[Decoded]):
    """`async with Follower(...) as follower: batch = await follower.next_batch()`, again and again.

    While Kafka or the registry does not answer, there is no batch, and `progress.problem` has the reason.
    """

    def __init__(self, topic: FollowedTopic, decoder: BatchDecoder[Decoded]) -> None:
        self._topic = topic
        self._decoder = decoder
        self._undecoded: SourceBatch | None = None
        """Records that were read and not decoded, because the registry did not answer."""

    @property
    def progress(self) -> FollowProgress:
        """How far the topic was followed."""
        return self._topic.progress

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, "follow")
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._topic.close)
        self._thread.shutdown()

    async def next_batch(self) -> Decoded | None:
        """The next batch, decoded; None after a moment without records, or while they cannot be decoded."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read_and_decode)

    def _read_and_decode(self) -> Decoded | None:
        records = self._topic.batch() if self._undecoded is None else self._undecoded
        decoded: Decoded | None = None
        if len(records):
            self._undecoded = records
            try:
                decoded = self._decoder.decode(records)
            except RegistryFailed as error:
                self.progress.problem = f"the schema registry: {error}"
                time.sleep(RETRY_S)
                return None
            self.progress.problem = None
            self.progress.unreadable += decoded.unreadable
            self._undecoded = None
        self.progress.update()
        return decoded
