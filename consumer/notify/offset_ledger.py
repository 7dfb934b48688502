"""Which offsets of one partition are settled: delivered, dead letters, or nobody's. It reads and commits nothing.

Alerts are settled out of order: one may wait for the end of quiet hours while later ones are delivered. The committed
offset is that of the first that is not settled. The settled ones after it are kept in the metadata of the commit, so
that a restart does not deliver them again.
"""

from __future__ import annotations

import re

_MOST_CHARACTERS = 3_000
"""Kafka refuses metadata of more than 4,096 bytes."""
_METADATA = re.compile(r"taskstream notify (\d+)((?: \d+-\d+)*)", re.ASCII)


class OffsetLedger:
    """The offsets of one partition, from where its reader begins."""

    def __init__(self, begin: int, metadata: str | None = None) -> None:
        """`metadata`: that of the committed offset `begin`."""
        self.position = begin
        """After the last offset that was read."""
        self._open: dict[int, int] = {}
        """[offset] What is still to be done for it; in the order of offsets."""
        self._settled = settled_after(begin, metadata)

    @property
    def pending(self) -> int:
        """How many offsets were read and are not settled."""
        return len(self._open)

    def is_settled(self, offset: int) -> bool:
        """Whether an earlier process has settled it."""
        return any(first <= offset <= last for first, last in self._settled)

    def is_open(self, offset: int) -> bool:
        """Whether it was read and is not settled."""
        return offset in self._open

    def read(self, offset: int, parts: int) -> None:
        """The record at `offset` was read, and is settled when `settle` was called `parts` times."""
        self.position = offset + 1
        if parts:
            self._open[offset] = parts

    def settle(self, offset: int) -> None:
        """One part of the record is done. An offset that was not read since the partition was assigned is ignored."""
        left = self._open.get(offset, 0) - 1
        if left > 0:
            self._open[offset] = left
        else:
            self._open.pop(offset, None)

    def commit(self) -> tuple[int, str]:
        """The offset to commit, and its metadata."""
        offset = next(iter(self._open), self.position)
        spans = [f"{first}-{last}" for first, last in self._settled_spans()]
        text = f"taskstream notify {offset}"
        for span in spans:
            if len(text) + 1 + len(span) > _MOST_CHARACTERS:
                break
            text += f" {span}"
        return offset, text

    def _settled_spans(self) -> list[tuple[int, int]]:
        """Between and after the open offsets; and those of earlier processes that were not read again."""
        spans = []
        before = None
        for offset in [*self._open, self.position] if self._open else ():
            if before is not None and offset > before + 1:
                spans.append((before + 1, offset - 1))
            before = offset
        return spans + [(max(first, self.position), last) for first, last in self._settled if last >= self.position]


def settled_after(offset: int, metadata: str | None) -> list[tuple[int, int]]:
    """The spans of settled offsets, first and last, that the metadata of a committed offset names.

    Metadata of another program, or of another offset, names none.
    """
    found = _METADATA.fullmatch(metadata or "")
    if found is None or int(found[1]) != offset:
        return []
    spans = [span.split("-") for span in found[2].split()]
    return [(int(first), int(last)) for first, last in spans if offset <= int(first) <= int(last)]
