"""The worker's Prometheus metrics and its readiness, and the port that serves them. It decides nothing."""

from __future__ import annotations

import json
import math
import socket
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 10, 100, 1_000, 5_000, 10_000, 50_000)


class WorkerMetrics:
    """The worker's metrics; no label grows with tasks."""

    def __init__(self) -> None:
        self.ready = False
        """Whether the group has assigned partitions, perhaps none, and their state is read back."""
        self.registry = CollectorRegistry()
        metric: dict[str, Any] = {"registry": self.registry, "namespace": "taskstream", "subsystem": "worker"}
        self._events = Counter("events", "Events read from the progress topic.", **metric)
        self._rejected = Counter("rejected", "Records that could not be read.", **metric)
        self._refused = Counter("refused", "Reports of new tasks beyond the limit of their project.", **metric)
        self._duplicates = Counter("duplicates", "Events that their series had counted already.", **metric)
        self._batch = Histogram("batch_events", "Events in one batch.", buckets=_SIZES, **metric)
        self._rows = Counter("rows", "Rows published to the state topic.", **metric)
        self._commit = Histogram(
            "commit_seconds", "From the first record sent to the commit.", buckets=_SECONDS, **metric
        )
        self._aborted = Counter("aborted", "Transactions that were aborted.", **metric)
        self._producers = Counter("producers", "Transactional producers built.", **metric)
        self._rebalances = Counter("rebalances", "Assignments of partitions.", **metric)
        self._restored = Counter("restored_records", "Records of the state topic read back.", **metric)
        self._restoring = Counter("restoring_seconds", "Time spent reading state back.", **metric)
        self._series = Gauge("series", "Series held.", **metric)
        self._lag = Gauge("lag_records", "Records ahead of us.", ["partition"], **metric)
        self._lag_s = Gauge(
            "lag_seconds",
            "Age of the last event folded while there are more; 0 when there are none.",
            ["partition"],
            **metric,
        )
        self._newest_us: dict[int, int] = {}
        self._reported: set[int] = set()

    def folded(self, events: int, rejected: int, refused: int, duplicates: int, newest_us: Mapping[int, int]) -> None:
        """A batch was folded; `newest_us` is the time of receipt of its last event, by partition."""
        self._events.inc(events)
        self._rejected.inc(rejected)
        self._refused.inc(refused)
        self._duplicates.inc(duplicates)
        self._batch.observe(events)
        self._newest_us.update(newest_us)

    def committed(self, rows: int, seconds: float) -> None:
        """A transaction was committed."""
        self._rows.inc(rows)
        self._commit.observe(seconds)

    def aborted(self) -> None:
        """A transaction was aborted."""
        self._aborted.inc()

    def built(self) -> None:
        """A transactional producer was built."""
        self._producers.inc()

    def restored(self, partitions: int, records: int, seconds: float) -> None:
        """Partitions were assigned and their state read back."""
        self._rebalances.inc(1 if partitions else 0)
        self._restored.inc(records)
        self._restoring.inc(seconds)

    def lag(self, ahead: Mapping[int, int | None], series: int, now_us: int) -> None:
        """Records after our position, by held partition (None: unknown); the gauges of other partitions are removed."""
        self._series.set(series)
        for gone in self._reported - ahead.keys():
            self._lag.remove(str(gone))
            self._lag_s.remove(str(gone))
        self._reported = set(ahead)
        for partition, records in ahead.items():
            newest_us = self._newest_us.get(partition)
            late_us = now_us - newest_us if records and newest_us is not None else 0
            self._lag.labels(str(partition)).set(math.nan if records is None else records)
            self._lag_s.labels(str(partition)).set(max(late_us, 0) / 1_000_000)


class ProcessMetrics(Protocol):
    """What the server shows of a process: a worker's, or a notifier's."""

    ready: bool
    registry: CollectorRegistry


class WorkerMetricsServer:
    """Serves /metrics, /healthz and /readyz: `with WorkerMetricsServer(...) as server: server.port`."""

    def __init__(self, metrics: ProcessMetrics, host: str, port: int) -> None:
        self._metrics = metrics
        self.host = host
        self.port = port
        """The port it listens on; 0 becomes the port that the system chose when the server opens."""
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        metrics = self._metrics

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.wfile.write(self._head())

            def do_HEAD(self) -> None:
                self._head()

            def _head(self) -> bytes:
                """Write the head of the response; return its body."""
                status, kind, body = _page(self.path.partition("?")[0], metrics)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                return body

            def log_message(self, *_: object) -> None:
                """Log nothing per request."""

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in self.host else socket.AF_INET

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Print a failed request, but not a client that closed its connection before the response."""
                if not isinstance(sys.exception(), ConnectionError):
                    super().handle_error(request, client_address)

        self._server = Server((self.host, self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def _page(path: str, metrics: ProcessMetrics) -> tuple[int, str, bytes]:
    if path == "/metrics":
        return 200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(metrics.registry)
    if path == "/healthz":
        return 200, "application/json", b'{"status": "ok"}'
    if path == "/readyz":
        body = {"status": "ready" if metrics.ready else "starting"}
        return (200 if metrics.ready else 503), "application/json", json.dumps(body).encode()
    return 404, "application/json", b'{"error_msg": "this port serves only /metrics, /healthz and /readyz"}'
