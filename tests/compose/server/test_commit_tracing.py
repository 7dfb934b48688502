"""What a span of a commit says when the commit fails, has too many reports or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from taskstream.compose.server.commit_tracing import MOST_LINKS, CommitTracing
from taskstream.consumer.worker.settings import WorkerSettings
from taskstream.schemas.topics import Topics


class Record:
    """A record with these headers."""

    def __init__(self, *headers: tuple[str, bytes | None]) -> None:
        self._headers = list(headers)

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self._headers or None


class KeptSpans(SpanExporter):
    """Keeps what is exported."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


def traced(number: int) -> Any:
    return Record(("traceparent", f"00-{number + 1:032x}-{number + 1:016x}-01".encode()))


@pytest.fixture
def kept() -> KeptSpans:
    return KeptSpans()


@pytest.fixture
def tracing(kept: KeptSpans) -> CommitTracing:
    return CommitTracing(kept, WorkerSettings(Topics(), "group", "one"))


def test_a_commit_that_fails_is_an_error_with_its_reason_and_the_next_begins_anew(tracing, kept):
    tracing.folded([traced(0)])
    tracing.ended(None, "a broker is away")
    tracing.folded([traced(1)])
    tracing.ended(1)
    tracing.close()
    failed, done = kept.spans
    assert (failed.status.is_ok, failed.status.description) == (False, "a broker is away")
    assert "taskstream.rows" not in failed.attributes
    assert [link.context.span_id for link in done.links] == [2]
    assert done.attributes["taskstream.rows"] == 1


def test_more_reports_than_links_are_counted(tracing, kept):
    tracing.folded([traced(number) for number in range(MOST_LINKS + 10)])
    tracing.ended(7)
    tracing.close()
    (span,) = kept.spans
    assert len(span.links) == MOST_LINKS
    assert span.attributes["taskstream.reports_with_trace"] == MOST_LINKS + 10


def test_a_header_that_is_no_traceparent_makes_no_link(tracing, kept):
    tracing.folded([Record(("traceparent", b"\xff")), Record(("traceparent", None)), Record()])
    tracing.ended(1)
    tracing.close()
    (span,) = kept.spans
    assert not span.links


def test_a_commit_without_reports_has_no_span(tracing, kept):
    tracing.ended(3)
    tracing.close()
    assert not kept.spans
