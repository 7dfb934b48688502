"""Runs all checks of a deployment in order. A check that depends on a failed one is reported as unknown and not run."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3

from taskstream.compose.doctor.broker_check import check_broker, check_group, check_topics
from taskstream.compose.doctor.finding import Finding, FindingVerdict, good, run_check, unknown
from taskstream.compose.doctor.http_check import check_server
from taskstream.compose.doctor.registry_check import check_schemas, check_written_ids
from taskstream.compose.doctor.report_trace import TraceTargets, trace_report
from taskstream.compose.doctor.transaction_check import check_transactions
from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.ids import SchemaIds, TableIds
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.registry.registry_ids import RegistryIds
from taskstream.schemas.topics import Topics

_NAME_KAFKA = "give --bootstrap-servers HOST:PORT"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The addresses and credentials of a deployment's parts. "" or None: the part is not checked.

    `max_lag_s` is the largest lag of the workers that is good; `wait_s` bounds each step of a report's trace.
    """

    kafka: KafkaClient
    topics: Topics
    group: str
    registry_url: str | None
    edge_url: str | None
    edge_token: str | None
    view_url: str | None
    view_token: str | None
    ca_file: Path | None
    max_lag_s: float
    wait_s: float


class DeploymentChecks:
    """The checks of one deployment. Every network call has a timeout, so the iteration ends whatever is down."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._pool = urllib3.PoolManager(ca_certs=str(deployment.ca_file) if deployment.ca_file else None)

    def findings(self) -> Iterator[Finding]:
        """Run the checks; yield each finding as soon as it is known."""
        deployment = self._deployment
        kafka_answers, topics_are_usable = yield from self._check_kafka()
        registry_url = deployment.registry_url
        with contextlib.nullcontext() if registry_url is None else Registry(registry_url) as registry:
            yield from _check_registry(registry, deployment.topics)
            ids: SchemaIds = TableIds() if registry is None else RegistryIds(registry, deployment.topics)
            if topics_are_usable:
                check = functools.partial(check_written_ids, deployment.kafka, deployment.topics, ids)
                yield from run_check(
                    "schema ids", check, "may this user read the topics, and does the registry answer?"
                )
            yield from self._check_server("edge", deployment.edge_url)
            yield from self._check_server("view", deployment.view_url)
            yield from self._trace_report(ids, deployment.kafka if kafka_answers else None)

    def _check_kafka(self) -> Generator[Finding, None, tuple[bool, bool]]:
        """Check everything in Kafka; return whether it answers, and whether its topics can be used."""
        deployment = self._deployment
        kafka, topics, named = deployment.kafka, deployment.topics, deployment.kafka.bootstrap_servers
        remedy = "is it running, is the address right, is security.protocol set? See -X and --kafka-config"
        found = list(run_check("broker", lambda: check_broker(kafka), remedy)) if named else []
        yield from found
        answers = bool(found) and found[0].verdict is FindingVerdict.GOOD
        why, remedy = ("Kafka does not answer", "see the broker") if named else ("no Kafka is named", _NAME_KAFKA)
        checks: dict[str, Callable[[], Iterator[Finding]]] = {
            "topics": lambda: check_topics(kafka, topics),
            "transactions": lambda: check_transactions(kafka, topics),
            "group": lambda: check_group(kafka, topics, deployment.group, deployment.max_lag_s),
        }
        possible = answers
        for name, check in checks.items():
            if not possible:
                yield unknown(name, why, remedy)
                continue
            findings = list(run_check(name, check, "may this user describe topics and groups?"))
            yield from findings
            if name == "topics" and any(each.verdict is FindingVerdict.BAD for each in findings):
                possible, why, remedy = False, "the topics are not usable", "see the topics"
        return answers, possible

    def _check_server(self, name: str, url: str | None) -> Iterator[Finding]:
        if url is None:
            yield unknown(name, f"no {name} is named", f"give --{name} URL")
        else:
            remedy = f"is it running, and is {url} its address?"
            yield from run_check(name, lambda: check_server(name, url, self._pool), remedy)

    def _trace_report(self, ids: SchemaIds, kafka: KafkaClient | None) -> Iterator[Finding]:
        deployment = self._deployment
        if deployment.edge_url is None or deployment.edge_token is None:
            yield unknown("report", "no report was sent", "give --edge URL and --token-file FILE")
            return
        targets = TraceTargets(
            edge_url=deployment.edge_url,
            edge_token=deployment.edge_token,
            kafka=kafka,
            topics=deployment.topics,
            ids=ids,
            view_url=deployment.view_url,
            view_token=deployment.view_token or deployment.edge_token,
            wait_s=deployment.wait_s,
            pool=self._pool,
        )
        yield from run_check("report", lambda: trace_report(targets), "correct the bad findings above first")


def _check_registry(registry: Registry | None, topics: Topics) -> Iterator[Finding]:
    if registry is None:
        yield good("schemas", "ids come from the built-in table; no registry is named")
    else:
        remedy = "is it running, and is its address right?"
        yield from run_check("schemas", lambda: check_schemas(registry, topics), remedy)
