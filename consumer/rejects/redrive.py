"""Redrives the chosen ones among rejected records: each partition's in order, many in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from taskstream.consumer.rejects.redrive_choice import KeptReject, RedriveChoice
from taskstream.consumer.rejects.redrive_transaction import MAX_RECORDS, RedriveTransaction
from taskstream.consumer.rejects.rejected_record import RejectedRecord
from taskstream.consumer.rejects.rejects_reader import JudgedReject

MAX_BYTES = 8 << 20


@dataclass(slots=True)
class RedriveCounts:
    """How many records were redriven (in a dry run: would be), and how many were kept."""

    redriven: int = 0
    kept: Counter[KeptReject] = field(default_factory=Counter)
    locations: set[str] = field(default_factory=set)
    """Those of the chosen locations that have a record."""


def redrive(
    batches: Iterable[list[JudgedReject]],
    choice: RedriveChoice,
    transaction: RedriveTransaction | None,
    stopping: Callable[[], bool] = lambda: False,
    on_records: Callable[[int], None] = lambda _count: None,
) -> tuple[bool, RedriveCounts]:
    """Redrive what is chosen; without a `transaction` only count it. Returns whether all were examined, and the counts.

    `on_records` gets the number of records of each batch that was examined.

    Raises:
        ConsumerError: a record could not be read or sent. What was redriven before has its note.
    """
    counts, held = RedriveCounts(), dict[int, _Portion]()
    for batch in batches:
        for judged in filter(choice.matches, batch):
            if choice.locations:
                counts.locations.add(judged.reject.location)
            if (why := choice.why_kept(judged)) is not None:
                counts.kept[why] += 1
                continue
            partition = judged.reject.record.partition
            portion = held.setdefault(partition, _Portion())
            portion.rejects.append(judged.reject)
            portion.bytes += judged.reject.record.size
            if len(portion.rejects) >= MAX_RECORDS or portion.bytes >= MAX_BYTES:
                _redrive(held.pop(partition).rejects, transaction, counts)
        on_records(len(batch))
        if stopping():
            return False, counts
    for portion in held.values():
        if stopping():
            return False, counts
        _redrive(portion.rejects, transaction, counts)
    return True, counts


@dataclass(slots=True)
class _Portion:
    """Records of one partition that are redriven in one transaction."""

    rejects: list[RejectedRecord] = field(default_factory=list)
    bytes: int = 0


def _redrive(rejects: list[RejectedRecord], transaction: RedriveTransaction | None, counts: RedriveCounts) -> None:
    if transaction is not None:
        transaction.redrive(rejects)
    counts.redriven += len(rejects)
