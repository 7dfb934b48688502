"""What a span of a commit says when the commit fails, has too many reports or none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from taskstream.compose.server.commit_tracing import MOST_LINKS, CommitTracing
from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.worker.settings import WorkerSettings
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.topics import Topics


def record(*headers: tuple[str, bytes | None]) -> RawRecord:
    """A record with these headers."""
    return RawRecord("events", 0, 0, None, None, b"", list(headers))


def batch(*records: RawRecord) -> SourceBatch:
    count = len(records)
    numbers = np.zeros(count, np.int32), np.arange(count), np.zeros(count, np.int64)
    return SourceBatch([each.value for each in records], *numbers, lambda: PackedValues.of([]), records.__getitem__)


class KeptSpans(SpanExporter):
    """Keeps what is exported."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


def traced(number: int) -> RawRecord:
    return record(("traceparent", f"00-{number + 1:032x}-{number + 1:016x}-01".encode()))


@pytest.fixture
def kept() -> KeptSpans:
    return KeptSpans()


@pytest.fixture
def tracing(kept: KeptSpans) -> CommitTracing:
    return CommitTracing(kept, WorkerSettings(Topics(), "group", "one"))


def test_a_commit_that_fails_is_an_error_with_its_reason_and_the_next_begins_anew(tracing, kept):
    tracing.folded(batch(traced(0)))
    tracing.ended(None, "a broker is away")
    tracing.folded(batch(traced(1)))
    tracing.ended(1)
    tracing.close()
    failed, done = kept.spans
    assert (failed.status.is_ok, failed.status.description) == (False, "a broker is away")
    assert "taskstream.rows" not in failed.attributes
    assert [link.context.span_id for link in done.links] == [2]
    assert done.attributes["taskstream.rows"] == 1


def test_more_reports_than_links_are_counted(tracing, kept):
    tracing.folded(batch(*[traced(number) for number in range(MOST_LINKS + 10)]))
    tracing.ended(7)
    tracing.close()
    (span,) = kept.spans
    assert len(span.links) == MOST_LINKS
    assert span.attributes["taskstream.reports_with_trace"] == MOST_LINKS + 10


def test_a_header_that_is_no_traceparent_makes_no_link(tracing, kept):
    tracing.folded(batch(record(("traceparent", b"\xff")), record(("traceparent", None)), record()))
    tracing.ended(1)
    tracing.close()
    (span,) = kept.spans
    assert not span.links


def test_a_commit_without_reports_has_no_span(tracing, kept):
    tracing.ended(3)
    tracing.close()
    assert not kept.spans
