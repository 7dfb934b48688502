"""The view's metrics for Prometheus: totals only, so that no label grows with the number of tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from taskstream.consumer.notes.task_note import NoteKind
from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import Health
from taskstream.consumer.view.follow.follow_progress import FollowProgress
from taskstream.consumer.view.json.fleet_json import fleet_json
from taskstream.consumer.view.json.slowdown_json import RECENT_S
from taskstream.consumer.view.read_model.change_feed import ChangeFeed
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.signal_log import SignalLog
from taskstream.consumer.view.read_model.slowdown_watch import KINDS

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4.encode()

_STATUSES: Final = (200, 303, 304, 400, 401, 403, 404, 405, 413, 429, 503)


class ViewMetrics(Collector):
    """The metrics, computed on request."""

    def __init__(
        self,
        model: ReadModel,
        signals: SignalLog,
        progress: FollowProgress,
        feed: ChangeFeed,
        now_us: Callable[[], int],
        routes: Iterable[str],
    ) -> None:
        """`routes`: the patterns of all paths, see `count_request`."""
        self._model = model
        self._signals = signals
        self._progress = progress
        self._feed = feed
        self._now_us = now_us
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._requests = Counter(
            "taskstream_view_requests",
            "Requests by route and status of the response.",
            ["route", "status"],
            registry=self._registry,
        )
        for route in routes:  # `increase` does not see the value with which a counter begins
            for status in _STATUSES:
                self._requests.labels(route, str(status))

    def count_request(self, route: str, status: int) -> None:
        """Count a request. `route` is a pattern, never a path that has an id in it."""
        self._requests.labels(route, str(status)).inc()

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics other than the count of requests."""
        sums = fleet_json(self._model, self._model.tasks.live, self._model.judged_at(self._now_us()))
        lag = self._model.pipeline
        by_health = GaugeMetricFamily("taskstream_tasks", "Tasks by health.", labels=["health"])
        for name, count in sums["health"].items():
            by_health.add_metric([name], count)
        yield by_health
        live = self._model.tasks.live
        muted = self._model.noted(NoteKind.MUTED)
        alerting = self._model.health[live[~np.isin(live, muted)] if muted.size else live]
        unmuted = GaugeMetricFamily(
            "taskstream_tasks_unmuted", "Tasks that are not muted, by health.", labels=["health"]
        )
        for each in Health:
            unmuted.add_metric([each.name], int(np.count_nonzero(alerting == each)))
        yield unmuted
        noted = GaugeMetricFamily("taskstream_tasks_noted", "Tasks with a note that holds, by kind.", labels=["kind"])
        for name, count in sums["notes"].items():
            noted.add_metric([name], count)
        yield noted
        by_trend = GaugeMetricFamily("taskstream_tasks_by_trend", "Tasks that move, by trend.", labels=["trend"])
        for name, count in sums["trend"].items():
            by_trend.add_metric([name], count)
        yield by_trend
        withheld = GaugeMetricFamily(
            "taskstream_tasks_without_eta", "Incomplete tasks without an ETA, by reason.", labels=["reason"]
        )
        for name, count in sums["without_eta_by_reason"].items():
            withheld.add_metric([name], count)
        yield withheld
        shared = GaugeMetricFamily(
            "taskstream_shared_slowdowns",
            "Groups of tasks that slowed down together in the last hour, by what they share.",
            labels=["kind"],
        )
        since_us = self._model.judged_at(self._now_us()) - RECENT_S * US_PER_S
        recent = [each for each in self._model.slowdowns.found if each.end_us >= since_us]
        for kind in KINDS:
            shared.add_metric([kind], sum(each.kind == kind for each in recent))
        yield shared
        for name, text, value in (
            (
                "shared_slowdown_tasks",
                "Tasks that slowed down together with others in the last hour; one in two groups counts twice.",
                sum(each.fell for each in recent),
            ),
            (
                "fleet_rate_bytes_per_second",
                "Sum of the observed rates of unfinished tasks that are not silent.",
                sums["rate_bps"],
            ),
            (
                "tasks_needing_attention",
                "Tasks in trouble that are neither acknowledged nor muted.",
                sums["needs_attention"],
            ),
            ("fleet_bytes_left", "Bytes that remain in the current subtasks.", sums["bytes_left"]),
            (
                "oldest_silence_seconds",
                "Time since the last report of the unfinished task that has been silent longest.",
                sums["oldest_silence_s"] or 0,
            ),
            ("view_lag_seconds", "Time since the view was last known to be current.", self._progress.lag_s),
            (
                "view_records_behind",
                "Offsets between the view's position and the end of the state topic.",
                self._progress.records_behind,
            ),
            (
                "view_caught_up",
                "1 once the view has read the state topic to its end.",
                int(self._progress.caught_up),
            ),
            (
                "pipeline_known",
                "1 while Kafka answers which reports no worker has read, else 0.",
                int(lag.behind_s is not None),
            ),
            (
                "pipeline_behind_seconds",
                "Age of the first report that no worker has read; NaN when unknown.",
                math.nan if lag.behind_s is None else lag.behind_s,
            ),
            (
                "pipeline_records_behind",
                "Reports that no worker has read; NaN when unknown.",
                math.nan if lag.records_behind is None else lag.records_behind,
            ),
            ("view_series", "Series in memory.", len(self._model.table)),
            ("view_signals", "Signals in memory.", len(self._signals)),
            ("view_stream_listeners", "Open streams.", self._feed.listeners),
        ):
            yield GaugeMetricFamily(f"taskstream_{name}", text, value)
        for name, text, value in (
            (
                "view_unreadable_records",
                "State records skipped: not decodable, outside of their bounds, or under the key of another series.",
                self._progress.unreadable,
            ),
            ("view_stream_cut", "Streams closed because the client did not read them.", self._feed.cut),
            ("view_shared_slowdowns", "Groups of tasks found to slow down together.", self._model.slowdowns.count),
            ("view_changes", "Changes of tasks applied.", self._model.version),
        ):
            yield CounterMetricFamily(f"taskstream_{name}", text, value)
