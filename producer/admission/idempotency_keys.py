"""Which report each recent idempotency key named, so that a key that comes with another report can be refused.

It knows no HTTP and reads no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

REMEMBERED: Final = 65_536
REMEMBERED_S: Final = 900.0
_EXPIRED_AT_ONCE: Final = 8
"""How many expired keys one call forgets: more than it adds, and few enough to take no time."""
_NO_KEYS: Final[OrderedDict[str, tuple[int, float]]] = OrderedDict()


class IdempotencyKeys:
    """The reports of the newest keys of all projects, per process and in bounded memory.

    When `remembered` keys are held, a project with the most keys loses its oldest one. So a project that sends many
    keys displaces only its own, as long as no other project has as many.
    """

    def __init__(self, remembered: int = REMEMBERED, remembered_s: float = REMEMBERED_S) -> None:
        self._remembered = remembered
        self._remembered_s = remembered_s
        self._held = 0
        self._keys: dict[str, OrderedDict[str, tuple[int, float]]] = {}
        """By project and event id: the hash of the report, and when it expires; a project's oldest key is first.

        A plain dict would search its first entry among all that were deleted before it.
        """
        self._projects: dict[int, OrderedDict[str, None]] = {}
        """The projects by their number of keys."""
        self._most = 0
        """The largest number of keys of one project."""

    def __len__(self) -> int:
        return self._held

    def names(self, project_id: str, event_id: str, report: bytes, now_s: float) -> bool:
        """Whether the key of this event names this report: the key is new, or came with the same report.

        event_id: the id that project, task and key yield. report: the report's fields as the event holds them.
        """
        keys = self._keys.get(project_id, _NO_KEYS)
        for _ in range(min(_EXPIRED_AT_ONCE, len(keys))):
            oldest = next(iter(keys))
            if keys[oldest][1] > now_s:
                break
            self._forget(project_id, oldest)
        digest = hash(report)  # SipHash, whose key is another one in each process
        known = keys.get(event_id)
        if known is not None and known[1] > now_s:
            return known[0] == digest
        if known is not None:
            self._forget(project_id, event_id)
        elif self._held >= self._remembered:
            largest = next(iter(self._projects[self._most]))
            self._forget(largest, next(iter(self._keys[largest])))
        self._remember(project_id, event_id, digest, now_s + self._remembered_s)
        return True

    def _remember(self, project_id: str, event_id: str, digest: int, until_s: float) -> None:
        keys = self._keys.setdefault(project_id, OrderedDict())
        keys[event_id] = (digest, until_s)
        self._held += 1
        self._move(project_id, len(keys) - 1, len(keys))

    def _forget(self, project_id: str, event_id: str) -> None:
        keys = self._keys[project_id]
        del keys[event_id]
        if not keys:
            del self._keys[project_id]
        self._held -= 1
        self._move(project_id, len(keys) + 1, len(keys))

    def _move(self, project_id: str, before: int, after: int) -> None:
        """Keep `_projects` and `_most` when a project has one key more or one key fewer."""
        if before:
            del self._projects[before][project_id]
            if not self._projects[before]:
                del self._projects[before]
        if after:
            self._projects.setdefault(after, OrderedDict())[project_id] = None
        if after > self._most or (before == self._most and before not in self._projects):
            self._most = after
