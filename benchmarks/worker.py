"""The worker on a local Kafka: catching up beside other ways to do it, reading a million rows back, and its latency.

Every way is a process of its own, reading the same prepared events; CPU is the process's own, librdkafka's threads
included, and the clock runs from the first committed offset that is seen to the last.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from hashlib import sha256
from pathlib import Path

from benchmarks.local import local_kafka
from benchmarks.worker_events import prepare
from benchmarks.worker_latency import latency
from benchmarks.worker_process import Reached, catching_up, worker_command
from benchmarks.worker_rows import million
from taskstream.compose.local.kafka_jars import default_cache_dir
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics

SECTION = "worker"
EVENTS = int(os.environ.get("TASKSTREAM_BENCH_EVENTS", "2000000"))
SERIES = 20_000
HERE = Path(__file__).parent
QUIX_REQUIREMENTS = HERE.parent / "requirements" / "quix.txt"
EVENT_SCHEMA = HERE.parent / "schemas" / "avro" / "ProgressReported.v2.avsc"


def run() -> None:
    with local_kafka() as broker:
        bootstrap, topics = broker.bootstrap_servers, Topics("bench")
        for each in (topics, Topics("naive")):
            create_topics(broker.client.config(), each, 1)
        prepare(bootstrap, topics, EVENTS, SERIES)
        print(f"{EVENTS:,} events over {SERIES:,} series, {topics.partitions} partitions")
        ours = catching_up(worker_command(bootstrap, topics), bootstrap, topics, f"{topics.prefix}.worker", EVENTS)
        tell("(c) the worker, transactions on", ours)
        command = [
            sys.executable,
            str(HERE / "peers" / "fastavro_loop.py"),
            bootstrap,
            topics.progress.name,
            "naive.state",
            "naive",
        ]
        naive = catching_up(command, bootstrap, topics, "naive", EVENTS // 10)
        tell("(a) poll, fastavro, dict", naive, ours)
        python = quix_python()
        for guarantee in ("at-least-once", "exactly-once"):
            group = f"quix-{guarantee}"
            with tempfile.TemporaryDirectory() as folder:
                command = [
                    python,
                    str(HERE / "peers" / "quix_loop.py"),
                    bootstrap,
                    topics.progress.name,
                    f"{group}.state",
                    group,
                ]
                command += [str(EVENT_SCHEMA), folder, guarantee]
                tell(
                    f"(b) Quix Streams, {guarantee}", catching_up(command, bootstrap, topics, group, EVENTS // 20), ours
                )
    with local_kafka() as broker:
        million(broker)
        latency(broker)


def tell(what: str, one: Reached, ours: Reached | None = None) -> None:
    words = f"{what}: {one.a_second:,.0f} events a second, {one.cpu_us:.2f} us CPU an event, peak {one.peak_mib} MiB"
    if ours is not None:
        words += (
            f"; (c) has {ours.a_second / one.a_second:.1f} times the speed at 1/{one.cpu_us / ours.cpu_us:.1f} the CPU"
        )
    print(words, flush=True)


def quix_python() -> str:
    """The Python of an environment that has Quix Streams; made once."""
    pinned = QUIX_REQUIREMENTS.read_bytes()
    folder = default_cache_dir(os.environ) / f"quix-{sha256(pinned).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*install, "-r", str(QUIX_REQUIREMENTS)], check=True)
        (folder / "ready").touch()
    return str(python)
