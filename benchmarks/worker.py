"""The worker catching up on prepared events: (a) the loop most people would write, (c) the worker; and a restore.

Both are processes of their own on the same local Kafka, reading the same events; CPU is the process's own, librdkafka's
threads included, and the clock runs from the first committed offset to the last. (b), Quix Streams, is not measured.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from compose.kafka import LocalKafka
from compose.kafka_jars import default_cache_dir
from compose.topics_admin import create_topics
from consumer.restore import StateReader
from consumer.table import SeriesTable
from schemas.catalog import newest
from schemas.columns import ColumnWriter
from schemas.ids import TableIds
from schemas.topics import Topics

SECTION = "worker"
EVENTS = int(os.environ.get("TASKSTREAM_BENCH_EVENTS", "2000000"))
SERIES = 20_000
NAIVE_EVENTS = EVENTS // 10
"""The naive loop is stopped after so many: it is slow, and its cost an event does not change."""
START_US = 4_000_000_000_000_000
"""Far ahead of any clock: no series is called silent or old."""

NAIVE = """
import sys, time
from confluent_kafka import Consumer, Producer
from schemas.catalog import newest
from schemas.codec import RecordReader
from schemas.ids import TableIds
import fastavro, io
bootstrap, source, target, group = sys.argv[1:]
reader = RecordReader(TableIds(), "ProgressReported")
schema = fastavro.parse_schema({"type": "record", "name": "S", "fields": [
    {"name": "bytes", "type": "long"}, {"name": "seen", "type": "long"}, {"name": "rate", "type": "double"}]})
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                     "enable.auto.commit": False})
producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True,
                     "queue.buffering.max.messages": 1000000})
consumer.subscribe([source])
state, committed = {}, time.monotonic()
while True:
    message = consumer.poll(0.1)
    if message is not None and message.error() is None:
        event = reader.read(message.value())
        key = event["project_id"] + "/" + event["task_id"] + "/" + event["subtask_name"]
        old = state.get(key)
        rate = 0.0
        if old and event["received_at"] > old["seen"]:
            rate = (event["replicatesize"] - old["bytes"]) / (event["received_at"] - old["seen"]) * 1e6
            rate = old["rate"] + (rate - old["rate"]) * 0.1
        state[key] = new = {"bytes": event["replicatesize"], "seen": event["received_at"], "rate": rate}
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, new)
        producer.produce(target, out.getvalue(), key)
        producer.poll(0)
    if time.monotonic() - committed >= 1.0:
        producer.flush()
        try:
            consumer.commit(asynchronous=False)
        except Exception as error:
            if "NO_OFFSET" not in str(error):
                raise
        committed = time.monotonic()
"""


def run() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalKafka(Path(folder) / "kafka", cache_dir=default_cache_dir(os.environ)) as kafka,
    ):
        topics = Topics("bench")
        create_topics(kafka.client.config(), topics, 1)
        create_topics(kafka.client.config(), Topics("naive"), 1)
        prepare(kafka.bootstrap_servers, topics)
        print(f"{EVENTS:,} events over {SERIES:,} series, 12 partitions")
        command = [sys.executable, "-c", NAIVE, kafka.bootstrap_servers, topics.progress.name, "naive.state", "naive"]
        naive = measured("(a) poll, fastavro, dict", command, kafka.bootstrap_servers, topics, "naive", NAIVE_EVENTS)
        command = [sys.executable, "-P", "-m", "compose", "worker", "--bootstrap-servers", kafka.bootstrap_servers]
        command += ["--prefix", topics.prefix, "--metrics-port", "0", "--instance", "bench"]
        ours = measured("(c) the worker", command, kafka.bootstrap_servers, topics, f"{topics.prefix}.worker", EVENTS)
        print(f"(c)/(a): {ours[0] / naive[0]:.1f} times the events a second, 1/{naive[1] / ours[1]:.1f} of the CPU")
        restore(kafka, topics)


def prepare(bootstrap: str, topics: Topics) -> None:
    """EVENTS reports, each of the series in turn, ten seconds of its time apart."""
    writer = ColumnWriter(TableIds(), newest("ProgressReported"))
    producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 2_000_000, "linger.ms": 50})
    rng = np.random.default_rng(1)
    names = [f"{number:08x}-ff28-4869-b9e4-855fbe12{number % 10_000:04d}" for number in range(SERIES)]
    homes = np.arange(SERIES) % topics.partitions
    sizes = np.zeros(SERIES, np.int64)
    chunk = SERIES * 5
    for begin in range(0, EVENTS, chunk):
        places = np.tile(np.arange(SERIES), 5)[: EVENTS - begin]
        steps = np.concatenate([rng.integers(0, 1 << 24, SERIES) for _ in range(5)])[: places.shape[0]]
        gained = np.zeros_like(steps)
        for turn in range(5):
            part = slice(turn * SERIES, (turn + 1) * SERIES)
            sizes[places[part]] += steps[part]
            gained[part] = sizes[places[part]]
        turns = (begin + np.arange(places.shape[0])) // SERIES
        columns = {
            "event_id": [f"{begin + place:036d}" for place in range(places.shape[0])],
            "project_id": ["0123456789abcdef0123456789abcdef"] * places.shape[0],
            "task_id": [names[place] for place in places],
            "received_at": START_US + turns * 10_000_000 + places,
            "subtask_name": ["MIGRATE_LINUX_BLOCK"] * places.shape[0],
            "progress": np.minimum(99, gained >> 26).astype(np.int32),
            "replicatesize": gained,
            "totalsize": np.full(places.shape[0], 1 << 40),
            "process_trace": ["replicating /dev/vda1, block by block"] * places.shape[0],
            "migrate_speed": rng.random(places.shape[0]) * 100,
        }
        arrays = [
            pa.array(columns[field.name]).cast(field.type)
            if field.name in columns
            else pa.nulls(places.shape[0], field.type)
            for field in writer.schema
        ]
        values = writer.write(pa.RecordBatch.from_arrays(arrays, schema=writer.schema))
        for home in range(topics.partitions):
            mine = np.flatnonzero(homes[places] == home).tolist()
            messages = [{"key": f"0123/{names[places[each]]}", "value": values[each]} for each in mine]
            while messages:
                producer.produce_batch(topics.progress.name, messages, home)
                messages = [{"key": each["key"], "value": each["value"]} for each in messages if "_error" in each]
                producer.poll(0.05)
    assert producer.flush(300) == 0


def measured(
    what: str, command: list[str], bootstrap: str, topics: Topics, group: str, events: int
) -> tuple[float, float]:
    """Events a second and CPU microseconds an event, until so many are committed."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    places = [TopicPartition(topics.progress.name, number) for number in range(topics.partitions)]
    began = began_events = None
    try:
        while True:
            assert process.poll() is None, f"{what} ended"
            try:
                done = sum(max(place.offset, 0) for place in consumer.committed(places, timeout=10))
            except KafkaException:
                done = 0
            now = time.monotonic()
            cpu = cpu_seconds(process.pid)
            if done and began is None:
                began, began_events, began_cpu = now, done, cpu
            if done >= events:
                break
            time.sleep(0.02)
    finally:
        memory = peak_kib(process.pid)
        process.send_signal(signal.SIGTERM)
        process.wait()
        consumer.close()
    count = max(done - began_events, 1)
    rate, cost = count / (now - began), (cpu - began_cpu) / count * 1e6
    print(f"{what}: {rate:,.0f} events a second, {cost:.2f} us CPU an event, peak {memory // 1024} MiB")
    return rate, cost


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def restore(kafka: LocalKafka, topics: Topics) -> None:
    table = SeriesTable()
    reader = StateReader(kafka.client.config(), topics.state.name, TableIds())
    began, cpu = time.monotonic(), time.process_time()
    records = reader.restore(range(topics.partitions), table)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    print(
        f"restore: {records:,} records of {len(table):,} series in {seconds:.1f} s, {cpu / records * 1e6:.2f} us CPU a "
        f"record; {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"
    )
