"""OpenTelemetry spans of a worker's commits, each linked to the reports in it, exported to a collector.

It needs the extra `otel` and is imported only when tracing is enabled. It knows records and no Kafka client.
"""

from __future__ import annotations

import time
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.worker.settings import WorkerSettings

MOST_LINKS: Final = 128
"""The limit of links of a span in OpenTelemetry's SDK; the span says how many more reports had a trace."""
_context: Final = TraceContextTextMapPropagator()


class CommitTracing:
    """Makes one span for each commit; see `consumer.worker.unit_of_work.CommitTrace`. `close` exports what is left."""

    def __init__(self, exporter: SpanExporter, settings: WorkerSettings) -> None:
        resource = Resource.create({"service.name": "taskstream-worker", "service.instance.id": settings.instance})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("taskstream")
        self._attributes = {
            "messaging.system": "kafka",
            "messaging.operation.name": "commit",
            "messaging.destination.name": settings.topics.progress.name,
            "messaging.consumer.group.name": settings.group,
        }
        self._began_ns = 0
        self._records = 0
        self._traced = 0
        self._parents: dict[str, None] = {}

    def folded(self, batch: SourceBatch) -> None:
        """See `CommitTrace`."""
        if not self._began_ns:
            self._began_ns = time.time_ns()
        self._records += len(batch)
        for index in range(len(batch)):
            parent = _traceparent(batch.record(index))
            if parent is not None:
                self._traced += 1
                if len(self._parents) < MOST_LINKS:
                    self._parents[parent] = None

    def ended(self, rows: int | None, why: str = "") -> None:
        """See `CommitTrace`; a commit without reports, as of silence alone, has no span."""
        if not self._began_ns:
            return
        attributes: dict[str, str | int] = {
            **self._attributes,
            "messaging.batch.message_count": self._records,
            "taskstream.reports_with_trace": self._traced,
        }
        links = [Link(context) for each in self._parents if (context := _span_context(each)).is_valid]
        name = f"commit {self._attributes['messaging.destination.name']}"
        span = self._tracer.start_span(
            name, None, SpanKind.CONSUMER, attributes, links, self._began_ns, record_exception=False
        )
        if rows is None:
            span.set_status(Status(StatusCode.ERROR, why))
        else:
            span.set_attribute("taskstream.rows", rows)
        span.end()
        self._began_ns = self._records = self._traced = 0
        self._parents = {}

    def close(self) -> None:
        """Export the remaining spans, within the exporter's timeout."""
        self._provider.shutdown()


def _traceparent(record: RawRecord) -> str | None:
    value = dict(record.headers).get("traceparent")
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _span_context(traceparent: str) -> SpanContext:
    return get_current_span(_context.extract({"traceparent": traceparent})).get_span_context()
