"""How often each signature was used, to bound the replays of an intercepted request. It knows no HTTP."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

USES: Final = 32
"""An honest client retries with the same signature: the transport of the official SDK up to 30 times."""
REMEMBERED: Final = 65_536


class SignatureUses:
    """Counts the uses of each signature while it is valid, per process and in bounded memory."""

    def __init__(self, window_s: float, uses: int = USES, remembered: int = REMEMBERED) -> None:
        self._window_s = window_s
        self._uses = uses
        self._remembered = remembered
        self._seen: OrderedDict[bytes, tuple[int, float]] = (
            OrderedDict()
        )  # the uses, and when the signature expires; the oldest first

    def __len__(self) -> int:
        return len(self._seen)

    def count(self, signature: str, now_s: float) -> bool:
        """Count one use of a valid signature; False when it was used too often."""
        self._drop_expired(now_s)
        key = bytes.fromhex(signature)[:16]
        used, until_s = self._seen.get(key, (0, now_s + self._window_s))
        if used >= self._uses:
            return False
        self._seen[key] = (used + 1, until_s)
        return True

    def _drop_expired(self, now_s: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest][1] > now_s and len(self._seen) < self._remembered:
                return
            self._seen.popitem(last=False)
