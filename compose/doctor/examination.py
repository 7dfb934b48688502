"""All checks in their order: what cannot be known because of an earlier one is told so and not waited for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3

from taskstream.compose.doctor.broker_check import broker, group_on, topics_on
from taskstream.compose.doctor.finding import Finding, FindingVerdict, good, looked_at, unknown
from taskstream.compose.doctor.http_check import face_at
from taskstream.compose.doctor.registry_check import schemas_in
from taskstream.compose.doctor.report_trace import TraceTargets, followed
from taskstream.compose.doctor.transaction_check import transaction_on
from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.ids import SchemaIds, TableIds
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.registry.registry_ids import RegistryIds
from taskstream.schemas.topics import Topics

_NO_KAFKA = "give --bootstrap-servers HOST:PORT"


@dataclass(frozen=True, slots=True)
class ExaminedDeployment:
    """A deployment, as far as it is named: "" and None are not."""

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


class Examination:
    """`for finding in Examination(patient).findings(): ...`; it ends, whatever is down."""

    def __init__(self, patient: ExaminedDeployment) -> None:
        self._patient = patient
        self._pool = urllib3.PoolManager(ca_certs=str(patient.ca_file) if patient.ca_file else None)

    def findings(self) -> Iterator[Finding]:
        """Each as soon as it is known."""
        patient = self._patient
        answers = yield from self._kafka()
        with contextlib.nullcontext() if patient.registry_url is None else Registry(patient.registry_url) as registry:
            yield from _schemas(registry, patient.topics)
            yield from self._face("edge", patient.edge_url)
            yield from self._face("view", patient.view_url)
            ids: SchemaIds = TableIds() if registry is None else RegistryIds(registry, patient.topics)
            yield from self._report(ids, patient.kafka if answers else None)

    def _kafka(self) -> Generator[Finding, None, bool]:
        """Gives whether it answers."""
        kafka, topics, named = self._patient.kafka, self._patient.topics, self._patient.kafka.bootstrap_servers
        remedy = "is it up, is its address right, are security.protocol and the like set? -X, --kafka-config"
        found = list(looked_at("broker", lambda: broker(kafka), remedy)) if named else []
        yield from found
        answers = bool(found) and found[0].verdict is FindingVerdict.GOOD
        why, remedy = ("Kafka does not answer", "see the broker") if named else ("no Kafka is named", _NO_KAFKA)
        looks: dict[str, Callable[[], Iterator[Finding]]] = {
            "topics": lambda: topics_on(kafka, topics),
            "transactions": lambda: transaction_on(kafka, topics),
            "group": lambda: group_on(kafka, topics, self._patient.group, self._patient.max_lag_s),
        }
        well = answers
        for check, look in looks.items():
            if not well:
                yield unknown(check, why, remedy)
                continue
            told = list(looked_at(check, look, "may this user describe topics and groups?"))
            yield from told
            if check == "topics" and any(each.verdict is FindingVerdict.BAD for each in told):
                well, why, remedy = False, "the topics are not what they must be", "see the topics"
        return answers

    def _face(self, name: str, url: str | None) -> Iterator[Finding]:
        if url is None:
            yield unknown(name, f"no {name} is named", f"give --{name} URL")
        else:
            remedy = f"is it up, and is {url} its address?"
            yield from looked_at(name, lambda: face_at(name, url, self._pool), remedy)

    def _report(self, ids: SchemaIds, kafka: KafkaClient | None) -> Iterator[Finding]:
        patient = self._patient
        if patient.edge_url is None or patient.edge_token is None:
            yield unknown("report", "none was sent", "give --edge URL and --token-file FILE")
            return
        stations = TraceTargets(
            edge_url=patient.edge_url,
            edge_token=patient.edge_token,
            kafka=kafka,
            topics=patient.topics,
            ids=ids,
            view_url=patient.view_url,
            view_token=patient.view_token or patient.edge_token,
            wait_s=patient.wait_s,
            pool=self._pool,
        )
        yield from looked_at("report", lambda: followed(stations), "see what is bad above, it comes first")


def _schemas(registry: Registry | None, topics: Topics) -> Iterator[Finding]:
    if registry is None:
        yield good("schemas", "ids come from the table beside the schemas; no registry is named")
    else:
        yield from looked_at("schemas", lambda: schemas_in(registry, topics), "is it up, and is its address right?")
