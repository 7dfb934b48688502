"""How far the workers are behind the reports, as the API shows it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.view.json.quantities import coarse_duration_text
from taskstream.consumer.view.read_model.pipeline_lag import PipelineLag


def pipeline_json(lag: PipelineLag, now_us: int) -> dict[str, Any]:
    """The lag in seconds and records, null when unknown; `as_of_ms` is null unless they are too far behind."""
    return {
        "behind_s": None if lag.behind_s is None else round(lag.behind_s, 3),
        "records_behind": lag.records_behind,
        "as_of_ms": lag.as_of_us // 1000 if lag.too_far and lag.as_of_us is not None else None,
        "text": pipeline_text(lag, now_us),
    }


def pipeline_text(lag: PipelineLag, now_us: int) -> str | None:
    """One sentence while the workers are behind, or while that is unknown; else None."""
    if lag.problem is not None:
        return f"it is unknown how far the workers are behind the reports: {lag.problem}"
    if not lag.too_far or lag.as_of_us is None or lag.behind_s is None:
        return None
    behind, moment = coarse_duration_text(lag.behind_s), _moment_text(lag.as_of_us, now_us)
    return f"reports are arriving, the workers are {behind} behind: health is as of {moment}"


def _moment_text(moment_us: int, now_us: int) -> str:
    """A time of day in UTC, with the date unless it is today's."""
    moment, now = (datetime.fromtimestamp(each / US_PER_S, UTC) for each in (moment_us, now_us))
    return moment.strftime("%H:%M UTC" if moment.date() == now.date() else "%Y-%m-%d %H:%M UTC")
