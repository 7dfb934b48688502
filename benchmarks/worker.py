"""The worker on a local Kafka: its throughput compared with two peers, the restore of a million rows, its latency.

The worker and each peer run in their own process and read the same prepared events. CPU is that of the process,
including librdkafka's threads; the time is from the first observed commit to the last.
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
from benchmarks.worker_latency import measure_latency
from benchmarks.worker_process import Throughput, measure_throughput, worker_command
from benchmarks.worker_rows import measure_restore
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
        ours = measure_throughput(
            worker_command(bootstrap, topics), bootstrap, topics, f"{topics.prefix}.worker", EVENTS
        )
        print_throughput("(c) the worker, with transactions", ours)
        command = [
            sys.executable,
            str(HERE / "peers" / "fastavro_loop.py"),
            bootstrap,
            topics.progress.name,
            "naive.state",
            "naive",
        ]
        naive = measure_throughput(command, bootstrap, topics, "naive", EVENTS // 10)
        print_throughput("(a) poll, fastavro, dict", naive, ours)
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
                print_throughput(
                    f"(b) Quix Streams, {guarantee}",
                    measure_throughput(command, bootstrap, topics, group, EVENTS // 20),
                    ours,
                )
    with local_kafka() as broker:
        measure_restore(broker)
        measure_latency(broker)


def print_throughput(what: str, one: Throughput, ours: Throughput | None = None) -> None:
    line = f"{what}: {one.per_s:,.0f} events per second, {one.cpu_us:.2f} us CPU per event, peak {one.peak_mib} MiB"
    if ours is not None:
        line += f"; (c) has {ours.per_s / one.per_s:.1f} times the speed at 1/{one.cpu_us / ours.cpu_us:.1f} the CPU"
    print(line, flush=True)


def quix_python() -> str:
    """The Python of a virtual environment with Quix Streams, which is created once."""
    pinned = QUIX_REQUIREMENTS.read_bytes()
    folder = default_cache_dir(os.environ) / f"quix-{sha256(pinned).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*install, "-r", str(QUIX_REQUIREMENTS)], check=True)
        (folder / "ready").touch()
    return str(python)
