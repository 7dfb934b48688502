"""The one spelling of durations: 500ms, 90s, 10m, 2h, 30d, 1h30m, or ISO 8601's PT10M and P30D."""

from __future__ import annotations

import re
from typing import Final

WORDS: Final = "500ms, 90s, 10m, 2h, 30d or PT10M"
_ISO = re.compile(
    r"P(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?(?:T(?=\d)(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?",
    re.ASCII | re.IGNORECASE,
)
_SHORT = re.compile(
    r"(?=\d)(?:(?P<w>\d+(?:\.\d+)?)w)?(?:(?P<d>\d+(?:\.\d+)?)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?"
    r"(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?",
    re.ASCII,
)
_SECONDS: Final = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds_of_duration(text: str) -> float | None:
    """The length in seconds; None when the text is no duration."""
    for form in (_ISO, _SHORT):
        match = form.fullmatch(text)
        if match is not None and any(match.groups()):
            return sum(float(amount) * _SECONDS[unit] for unit, amount in match.groupdict().items() if amount)
    return None
