"""Goes through rejected records and drives back those that were chosen, each partition's in order, in portions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from taskstream.consumer.rejects.redrive_choice import KeptReject, RedriveChoice
from taskstream.consumer.rejects.redrive_transaction import PORTION, RedriveTransaction
from taskstream.consumer.rejects.rejected_record import RejectedRecord
from taskstream.consumer.rejects.rejects_reader import JudgedReject

PORTION_BYTES = 8 << 20


@dataclass(slots=True)
class RedriveCounts:
    """What was, or in a dry run would be, driven back, and what was not."""

    driven: int = 0
    kept: Counter[KeptReject] = field(default_factory=Counter)
    places: set[str] = field(default_factory=set)
    """Those of the places that were asked for by name, that are there."""


def redrive(
    batches: Iterable[list[JudgedReject]],
    choice: RedriveChoice,
    drive: RedriveTransaction | None,
    stopping: Callable[[], bool] = lambda: False,
    told: Callable[[int], None] = lambda _count: None,
) -> tuple[bool, RedriveCounts]:
    """Drive back what is chosen; no `drive`: only count it. Gives whether it went through all, and the account.

    Raises:
        ConsumerError: what was driven before is driven, and noted.
    """
    account, held = RedriveCounts(), dict[int, _Portion]()
    for batch in batches:
        for judged in filter(choice.asked, batch):
            if choice.places:
                account.places.add(judged.reject.place)
            if (why := choice.kept(judged)) is not None:
                account.kept[why] += 1
                continue
            home = judged.reject.record.partition
            portion = held.setdefault(home, _Portion())
            portion.rejects.append(judged.reject)
            portion.bytes += judged.reject.record.size
            if len(portion.rejects) >= PORTION or portion.bytes >= PORTION_BYTES:
                _send(held.pop(home).rejects, drive, account)
        told(len(batch))
        if stopping():
            return False, account
    for portion in held.values():
        if stopping():
            return False, account
        _send(portion.rejects, drive, account)
    return True, account


@dataclass(slots=True)
class _Portion:
    """What is driven back together."""

    rejects: list[RejectedRecord] = field(default_factory=list)
    bytes: int = 0


def _send(portion: list[RejectedRecord], drive: RedriveTransaction | None, account: RedriveCounts) -> None:
    if drive is not None:
        drive.back(portion)
    account.driven += len(portion)
