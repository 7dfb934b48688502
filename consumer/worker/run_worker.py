"""A worker on Kafka: checks the topics, builds the parts, and runs the loop until it is asked to stop."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import structlog
from confluent_kafka import KafkaException

from taskstream.consumer.errors import KafkaFailed, RightMissing, StreamGap
from taskstream.consumer.gc_control import manual_gc
from taskstream.consumer.kafka.client_log import kafka_logger
from taskstream.consumer.kafka.direct.batch_produce import produce_packed
from taskstream.consumer.kafka.direct.direct_fetch import DirectFetch
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch
from taskstream.consumer.kafka.direct.native_client import why_not
from taskstream.consumer.kafka.direct.source_batch import NewFetch
from taskstream.consumer.kafka.rebalancing_source import BatchSource
from taskstream.consumer.kafka.transaction import ProducePacked, Transaction
from taskstream.consumer.records.written_ids import contradicting_ids
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.worker.jit_warmup import warm_up_jit
from taskstream.consumer.worker.lifecycle import WorkerLifecycle
from taskstream.consumer.worker.metrics import WorkerMetrics
from taskstream.consumer.worker.output import Output
from taskstream.consumer.worker.patience import Patience
from taskstream.consumer.worker.settings import WorkerSettings
from taskstream.consumer.worker.state_restore import StateRestore
from taskstream.consumer.worker.topic_check import ONCE, TopicGuard, check_rights, check_settings, check_topics
from taskstream.consumer.worker.unit_of_work import CommitTrace, UnitOfWork
from taskstream.consumer.worker.watchdog import Watchdog
from taskstream.consumer.worker.worker import Worker
from taskstream.schemas.compiled import cache_problem
from taskstream.schemas.errors import RegistryFailed
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_log = structlog.get_logger("worker")


def run_worker(
    kafka: Mapping[str, Any],
    ids: SchemaIds,
    settings: WorkerSettings,
    metrics: WorkerMetrics,
    stopping: Callable[[], bool],
    clock: Callable[[], float] = time.time,
    trace: CommitTrace | None = None,
    load: Callable[[SchemaIds], None] = warm_up_jit,
) -> None:
    """Work until `stopping()`; then commit what is open, and leave the group.

    kafka: librdkafka's configuration, without the settings that the parts insist on.
    clock: seconds since 1970.
    trace: follows each commit; None costs nothing.
    load: loads the compiled loops, or compiles them; nothing is open yet that must be closed.

    Raises:
        ConsumerError: the process should end; a supervisor may start it again.
    """
    try:
        _run(dict(kafka) | {"logger": kafka_logger()}, ids, settings, metrics, stopping, clock, trace, load)
    except KafkaException as error:
        raise KafkaFailed(f"Kafka refused: {error.args[0].str()}") from error


def _run(
    kafka: Mapping[str, Any],
    ids: SchemaIds,
    settings: WorkerSettings,
    metrics: WorkerMetrics,
    stopping: Callable[[], bool],
    clock: Callable[[], float],
    trace: CommitTrace | None,
    load: Callable[[SchemaIds], None],
) -> None:
    topics = settings.topics
    check_rights(kafka, topics)
    partitions = check_topics(kafka, topics)
    check_settings(kafka, topics)
    _warn_of_contradicting_ids(kafka, topics, ids)
    problem = cache_problem()
    if problem is not None:
        _log.warning("machine_code_not_kept", problem=problem)
    _log.info("loading_loops", why="the first start after an installation compiles them, which takes a minute or more")
    load(ids)
    new_fetch, produce = client_ways(settings)
    lifecycle = WorkerLifecycle()
    with ExitStack() as opened:
        watchdog = opened.enter_context(Watchdog())
        guard = opened.enter_context(TopicGuard(kafka, topics))

        def is_over() -> bool:
            guard.check()
            return stopping()

        patience = Patience(is_over)
        transactional_id = f"{settings.group}.{settings.instance}"
        transaction = opened.enter_context(
            Transaction(
                kafka, transactional_id, watchdog, waiting=patience.wait, mark=guard.mark, produce_packed=produce
            )
        )
        opened.enter_context(manual_gc())
        metrics.built()
        # The client's id is what `lag` and `rebuild` call the member, and what Kafka's own tools show.
        member = {"client.id": settings.instance} | dict(kafka) | {"group.id": settings.group}
        name, wait = topics.progress.name, patience.wait
        source = BatchSource(member, name, watchdog, waiting=wait, state=guard.state, new_fetch=new_fetch)
        work = UnitOfWork(
            SeriesTable(replace(settings.fold, partitions=partitions)),
            Output(ids, topics, state_headers=settings.state_headers),
            transaction,
            source,
            StateRestore(kafka, topics.state.name, ids, waiting=patience.wait, new_fetch=new_fetch),
            lifecycle,
            metrics,
            trace=trace,
        )
        try:
            Worker(source, work, lifecycle, ids, settings, metrics, _collect_garbage, clock).run(is_over)
        except StreamGap:
            with suppress(KafkaFailed):
                guard.check_now()  # a topic that was created again explains a gap better
            raise
        except KafkaFailed as error:
            if not isinstance(error, RightMissing) and not stopping():
                _name_withdrawn_right(kafka, topics)
            raise


def client_ways(
    settings: WorkerSettings, why_not: Callable[[], str | None] = why_not
) -> tuple[NewFetch, ProducePacked | None]:
    """How to read and how to produce: directly, or in the ordinary way and with a log line that says why."""
    why = why_not() if settings.direct else "it is switched off"
    if why is None:
        return DirectFetch, produce_packed
    _log.info("records are read and produced as objects", why=why)
    return MessageFetch, None


def _name_withdrawn_right(kafka: Mapping[str, Any], topics: Topics) -> None:
    """Raise RightMissing if a right was withdrawn: that explains a failure better than its consequences."""
    try:
        check_rights(kafka, topics, ONCE)
    except RightMissing:
        raise
    except KafkaFailed as error:
        _log.warning("rights not checked", why=str(error))


def _warn_of_contradicting_ids(kafka: Mapping[str, Any], topics: Topics, ids: SchemaIds) -> None:
    """Log the schema ids on the topics that contradict `ids`; one foreign record is no reason to stop."""
    try:
        found = contradicting_ids(kafka, (topics.progress, topics.state), ids)
    except (KafkaFailed, RegistryFailed, StreamGap) as error:
        _log.warning("schema ids not compared", why=str(error))
        return
    for each in found:
        _log.warning(
            "schema ids contradict", found=str(each), remedy="a change of the source of ids needs a new prefix"
        )


def _collect_garbage(_now_s: float) -> None:
    gc.collect()
