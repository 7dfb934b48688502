"""The peer workers: how each is started, and where it writes its rows and windows. It starts none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.build import Command
from taskstream.schemas.catalog import newest
from taskstream.schemas.ids import TableIds

COMMIT_MS = 1000
"""How often a peer commits."""
SCHEMAS = Path(__file__).parent.parent.parent / "schemas" / "avro"
STREAMS_STORES = ("memory", "rocksdb")
STREAMS_THREADS = (1, 2)
RECORDS = tuple(newest(name) for name in ("ProgressReported", "SeriesState", "RateWindow"))
SCHEMA_IDS = tuple(str(TableIds().id_of(record)) for record in RECORDS)
SCHEMA_FILES = tuple(str(SCHEMAS / f"{record.title}.avsc") for record in RECORDS)


@dataclass(frozen=True, slots=True)
class Job:
    """What a peer reads and writes, and its group. folder: a folder of its own for its local state."""

    bootstrap: str
    source: str
    rates: str
    state: str
    group: str
    folder: Path


@dataclass(frozen=True, slots=True)
class GoWorker:
    program: Command

    def state_topic(self, group: str) -> str:
        return f"{group}.state"

    def command(self, job: Job) -> list[str]:
        names = [job.source, job.state, job.rates, job.group]
        return [*self.program, job.bootstrap, *names, str(COMMIT_MS), *SCHEMA_FILES, *SCHEMA_IDS]


@dataclass(frozen=True, slots=True)
class StreamsWorker:
    """Kafka Streams; its rows are the changelog of its store, which Streams creates."""

    program: Command
    store: str
    threads: int

    def state_topic(self, group: str) -> str:
        return f"{group}-series-changelog"

    def command(self, job: Job) -> list[str]:
        more = [job.group, str(COMMIT_MS), str(job.folder), self.store, str(self.threads)]
        return [*self.program, job.bootstrap, job.source, job.rates, *more, *SCHEMA_IDS]


WorkerPeer = GoWorker | StreamsWorker


def worker_peers(programs: Mapping[str, Command]) -> dict[str, WorkerPeer]:
    """[name] The peers of these programs, as `build_peers` names them; Streams has one per store and threads."""
    peers: dict[str, WorkerPeer] = {}
    if "Go" in programs:
        peers["Go"] = GoWorker(programs["Go"])
    if "Streams" in programs:
        for store in STREAMS_STORES:
            for threads in STREAMS_THREADS:
                name = f"Streams, {store}, {threads} thread{'s' * (threads > 1)}"
                peers[name] = StreamsWorker(programs["Streams"], store, threads)
    return peers
