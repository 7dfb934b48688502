"""Following: no batch is lost to a registry that does not answer, and what is in the way is told until it is not."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

from taskstream.compose.local.ports import free_port
from taskstream.consumer.view.follow.follow_progress import FollowProgress
from taskstream.consumer.view.follow.followed_topic import FollowedTopic
from taskstream.consumer.view.follow.follower import Follower
from taskstream.schemas.errors import RegistryFailed


class Records:
    """Batches that are there already, in place of a topic."""

    def __init__(self, *batches: list[str]) -> None:
        self.progress = FollowProgress()
        self.progress.begin({0: 0}, {0: sum(map(len, batches))})
        self._batches = list(batches)

    def batch(self) -> list[str]:
        batch = self._batches.pop(0) if self._batches else []
        self.progress.positions[0] += len(batch)
        return batch

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Read:
    words: tuple[str, ...]
    unreadable: int = 0


class MoodyReader:
    """Answers when the registry does."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def decode(self, records) -> Read:
        if self.failures:
            self.failures -= 1
            raise RegistryFailed("it said 500")
        return Read(tuple(records), unreadable=1)


async def rounds_of(follower: Follower[Read], rounds: int) -> list[tuple[Read | None, str | None, bool]]:
    async with follower:
        return [
            (await follower.next_batch(), follower.progress.problem, follower.progress.caught_up) for _ in range(rounds)
        ]


def test_a_batch_that_the_registry_kept_back_comes_once_it_answers():
    rounds = asyncio.run(rounds_of(Follower(Records(["a", "b"], ["c"]), MoodyReader(failures=2)), 5))
    assert [said and said.words for said, _, _ in rounds] == [None, None, ("a", "b"), ("c",), None]


def test_a_registry_that_does_not_answer_is_told_and_is_no_catching_up():
    rounds = asyncio.run(rounds_of(Follower(Records(["a"]), MoodyReader(failures=1)), 2))
    assert [(problem, caught_up) for _, problem, caught_up in rounds] == [
        ("the schema registry: it said 500", False),
        (None, True),
    ]


def test_records_that_could_not_be_read_are_counted_once():
    follower = Follower(Records(["a"], ["b"]), MoodyReader(failures=1))
    asyncio.run(rounds_of(follower, 4))
    assert follower.progress.unreadable == 2


def test_lag_counts_from_the_last_moment_at_which_all_was_held():
    clock = [10.0]
    progress = FollowProgress(lambda: clock[0])
    progress.begin({0: 0}, {0: 2})
    clock[0] = 13.0
    assert progress.lag_s == 3.0
    progress.positions[0] = 2
    progress.update()
    assert (progress.lag_s, progress.caught_up, progress.records_behind) == (0.0, True, 0)
    progress.ends[0] = 5
    clock[0] = 14.0
    assert (progress.lag_s, progress.records_behind) == (1.0, 3)
    progress.positions[0] = 5
    progress.problem = "not heard from broker:9092"
    progress.update()
    assert progress.lag_s == 1.0


def test_the_brokers_of_a_followed_topic_s_client_are_watched_until_it_is_closed():
    def watches() -> int:
        return [thread.name for thread in threading.enumerate()].count("brokers")

    before = watches()
    followed = FollowedTopic({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, "nobody-s")
    assert not len(followed.batch())
    assert watches() == before + 1
    followed.close()
    assert watches() == before
