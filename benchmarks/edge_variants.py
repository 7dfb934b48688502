"""Compares servers and ways to await acks: CPU per report, and the effect of SIGTERM under load.

The server `short` is the edge as deployed; `uvicorn` is the same without the path that bypasses ASGI; `granian` is
another server. Acknowledged reports were answered with 200; lost reports were acknowledged and are not on the topic; a
cut connection ended before a response.
"""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from confluent_kafka import Consumer, TopicPartition

from benchmarks.edge_load import TOKEN, Figures, Observed, connect, measure, until_ready
from benchmarks.local import local_kafka, token_file
from taskstream.compose.local.ports import free_port
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

SECTION = "edge-variants"
VARIANTS = (
    ("short", "signal"),
    ("short", "loop"),
    ("short", "thread"),
    ("short", "aio"),
    ("uvicorn", "signal"),
    ("granian", "signal"),
)
"""A server, and how acknowledgements reach its requests."""
CONNECTIONS = 128
SECONDS = 3.0
ROUNDS = 3
LOAD_S = 1.5


def run() -> None:
    variants = [each for each in VARIANTS if each[0] != "granian" or importlib.util.find_spec("granian")]
    with tempfile.TemporaryDirectory() as folder, local_kafka() as kafka:
        tokens = token_file(Path(folder), TOKEN)
        create_topics(kafka.client.config(), Topics("variants"))

        def command(variant: tuple[str, str], port: int, prefix: str) -> list[str]:
            arguments = [str(port), kafka.bootstrap_servers, prefix, str(tokens)]
            return [sys.executable, "-m", "benchmarks.ack_variants", *variant, *arguments]

        rounds = [
            [measure_load(command(each, port := free_port(), "variants"), port) for each in variants]
            for _ in range(ROUNDS)
        ]
        for variant, figures in zip(variants, zip(*rounds, strict=True), strict=True):
            median = Figures(*map(statistics.median, zip(*figures, strict=True)))
            print(f"  {CONNECTIONS} connections  {' + '.join(variant):17} {median}", flush=True)
        for number, variant in enumerate(variants):
            topics = Topics(f"stop{number}", partitions=3)
            create_topics(kafka.client.config(), topics)
            effect = measure_stop(command(variant, port := free_port(), topics.prefix), port, kafka.client, topics)
            print(f"  SIGTERM under load  {' + '.join(variant):17} {effect}", flush=True)


def measure_load(command: list[str], port: int) -> Figures:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return uvloop.run(measure(port, process.pid, CONNECTIONS, SECONDS))
    finally:
        end(process)


def measure_stop(command: list[str], port: int, kafka, topics: Topics) -> str:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        observed, took_s = uvloop.run(stop_under_load(process, port))
    finally:
        end(process)
    lost = set(observed.event_ids) - event_ids(kafka, topics)
    refused = sum(count for status, count in observed.statuses.items() if status != 200)
    acknowledged, cut = len(observed.event_ids), observed.cut
    counts = f"{acknowledged:6} acknowledged, {len(lost)} lost, {refused} refused, {cut} of {CONNECTIONS} cut"
    return f"{counts}; ended after {took_s:4.1f} s with {process.returncode}"


async def stop_under_load(process: subprocess.Popen, port: int) -> tuple[Observed, float]:
    await until_ready(port)
    observed = Observed()
    await connect(port, CONNECTIONS, observed)
    await asyncio.sleep(LOAD_S)
    process.send_signal(signal.SIGTERM)
    begun_s = time.monotonic()
    while process.poll() is None and time.monotonic() < begun_s + 40:  # noqa: ASYNC110 # a subprocess sets no event when it ends
        await asyncio.sleep(0.02)
    return observed, time.monotonic() - begun_s


def end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()


def event_ids(kafka, topics: Topics) -> set[str]:
    """The event ids of all records on the topic."""
    consumer = Consumer(kafka.config(**{"group.id": "none", "enable.auto.commit": False}))
    reader = RecordReader(TableIds(), "ProgressReported")
    name, found, left = topics.progress.name, set(), 0
    partitions = [TopicPartition(name, number, 0) for number in range(topics.partitions)]
    try:
        left = sum(consumer.get_watermark_offsets(each, 20)[1] for each in partitions)
        consumer.assign(partitions)
        while left:
            for message in consumer.consume(10_000, 5):
                found.add(reader.read(message.value())["event_id"])
                left -= 1
    finally:
        consumer.close()
    return found
