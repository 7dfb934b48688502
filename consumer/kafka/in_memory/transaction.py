"""`Transaction` in memory, with errors that a test schedules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Self

from taskstream.consumer.errors import ConsumerError, ProducerLost, TransactionAborted
from taskstream.consumer.kafka.in_memory.broker import Headers, InMemoryBroker, InMemoryRecord
from taskstream.schemas.codec.header_columns import HeaderColumns, header_lists
from taskstream.schemas.codec.packed_values import PackedValues


class InMemoryTransaction:
    """Behaves as `consumer.kafka.transaction.Transaction`; a record is written when its transaction is committed."""

    def __init__(self, broker: InMemoryBroker, transactional_id: str) -> None:
        self._broker = broker
        self._transactional_id = transactional_id
        self._epoch = -1
        self._records: list[InMemoryRecord] = []
        self._begun = False
        self._lost: str | None = None
        self._scheduled: list[tuple[str, ConsumerError]] = []

    def __enter__(self) -> Self:
        self.renew()
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def fail(self, call: str, error: ConsumerError) -> None:
        """Let the next call of this name (send, commit, abort, renew) raise `error`.

        "committed": the next commit succeeds on the broker, and `error` is raised instead of its answer.
        """
        self._scheduled.append((call, error))

    def send_many(
        self,
        topic: str,
        keys: Sequence[str | bytes],
        values: Sequence[bytes],
        headers: Iterable[Headers],
        partition: int = -1,
    ) -> None:
        """See `Transaction.send_many`."""
        for key, value, each in zip(keys, values, headers, strict=True):
            self.send(topic, key, value, partition, tuple(each))

    def send_packed(
        self, topic: str, keys: PackedValues, values: PackedValues, headers: HeaderColumns, partition: int = -1
    ) -> None:
        """See `Transaction.send_packed`."""
        self.send_many(topic, list(keys), list(values), header_lists(headers, len(values)), partition)

    def send(
        self,
        topic: str,
        key: str | bytes | None,
        value: bytes | None,
        partition: int = -1,
        headers: Headers = (),
    ) -> None:
        """See `Transaction.send`."""
        self._check("send")
        self._begun = True
        stored_key = key.encode() if isinstance(key, str) else key
        self._records.append(InMemoryRecord(topic, stored_key, value, partition, headers))

    def commit(self, topic: str, offsets: Mapping[int, int], membership: Any, unmarked: Collection[int] = ()) -> None:
        """See `Transaction.commit`."""
        self._check("commit")
        self._begun = True
        if not self._broker.accepts(membership):
            raise TransactionAborted(f"commit: the group does not know {membership}")
        places = {(topic, each): offset for each, offset in offsets.items()}
        self._broker.commit(self._records, places, {(topic, each) for each in unmarked})
        self._clear()
        self._raise_scheduled("committed")

    def abort(self) -> None:
        """See `Transaction.abort`."""
        if self._begun:
            self._check("abort")
            self._clear()

    def renew(self) -> None:
        """See `Transaction.renew`."""
        self._clear()
        self._lost = None
        self._epoch = self._broker.new_epoch(self._transactional_id)
        self._raise_scheduled("renew")

    def _clear(self) -> None:
        self._records = []
        self._begun = False

    def _check(self, call: str) -> None:
        """Fail for a scheduled error, or when the producer is lost or fenced."""
        self._raise_scheduled(call)
        if self._lost is None and not self._broker.is_newest(self._transactional_id, self._epoch):
            self._lost = "fenced by a newer producer"
        if self._lost is not None:
            raise ProducerLost(f"{call}: {self._lost}")

    def _raise_scheduled(self, call: str) -> None:
        for index, (name, error) in enumerate(self._scheduled):
            if name == call:
                del self._scheduled[index]
                if isinstance(error, ProducerLost):
                    self._lost = str(error)
                raise error
