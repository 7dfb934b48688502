"""What Prometheus is told of the view: sums alone, so that no label grows with the tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from taskstream.consumer.view.follow.follow_progress import FollowProgress
from taskstream.consumer.view.http.sse_events import ChangeFeed
from taskstream.consumer.view.read_model.fleet_summary import fleet
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.signal_log import SignalLog

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ViewMetrics:
    """The view's figures, made when they are asked for."""

    def __init__(
        self,
        model: ReadModel,
        signals: SignalLog,
        progress: FollowProgress,
        feed: ChangeFeed,
        now_us: Callable[[], int],
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Figures(model, signals, progress, feed, now_us))
        self._requests = Counter(
            "taskstream_view_requests",
            "Requests answered, by route and status.",
            ["route", "status"],
            registry=self._registry,
        )

    def answered(self, route: str, status: int) -> None:
        """Count a request. `route` is a pattern, never a path with an id in it."""
        self._requests.labels(route, str(status)).inc()

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)


class _Figures(Collector):
    def __init__(
        self,
        model: ReadModel,
        signals: SignalLog,
        progress: FollowProgress,
        feed: ChangeFeed,
        now_us: Callable[[], int],
    ) -> None:
        self._model = model
        self._signals = signals
        self._progress = progress
        self._feed = feed
        self._now_us = now_us

    def collect(self) -> Iterator[Metric]:
        sums = fleet(self._model, self._model.tasks.live, self._now_us())
        by_health = GaugeMetricFamily(
            "taskstream_tasks", "Tasks by the health of their current subtask.", labels=["health"]
        )
        for name, count in sums["health"].items():
            by_health.add_metric([name], count)
        yield by_health
        by_trend = GaugeMetricFamily("taskstream_tasks_by_trend", "Unfinished tasks by trend.", labels=["trend"])
        for name, count in sums["trend"].items():
            by_trend.add_metric([name], count)
        yield by_trend
        for name, text, value in (
            ("fleet_rate_bytes_per_second", "Sum of the observed rates of tasks that move.", sums["rate_bps"]),
            ("fleet_bytes_left", "Bytes that the current subtasks have left.", sums["bytes_left"]),
            (
                "oldest_silence_seconds",
                "Since the report that is the oldest of any unfinished task's last ones.",
                sums["oldest_silence_s"] or 0,
            ),
            ("view_lag_seconds", "Since the view was known to hold all there is.", self._progress.lag_s),
            (
                "view_records_behind",
                "Offsets between the view and the state topic's end.",
                self._progress.records_behind,
            ),
            (
                "view_caught_up",
                "Whether the view has read the state topic to its end once.",
                int(self._progress.caught_up),
            ),
            ("view_series", "Series held.", len(self._model.table)),
            ("view_signals", "Signals held.", len(self._signals)),
            ("view_stream_listeners", "Open streams.", self._feed.listeners),
        ):
            yield GaugeMetricFamily(f"taskstream_{name}", text, value)
        for name, text, value in (
            (
                "view_unreadable_records",
                "State records left out because they could not be read.",
                self._progress.unreadable,
            ),
            ("view_stream_cut", "Streams cut because nobody read them.", self._feed.cut),
            ("view_changes", "Changes of tasks taken in.", self._model.version),
        ):
            yield CounterMetricFamily(f"taskstream_{name}", text, value)
