"""Other ways to bring Kafka's acks to the waiting requests, and the servers that the edge could run in.

`python -m benchmarks.ack_ways SERVER WAY PORT BOOTSTRAP_SERVERS PREFIX TOKENS` serves the edge with one of each.
"""

from __future__ import annotations

import asyncio
import collections
import os
import sys
import threading
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.aio import AIOProducer

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.server.callers import CallerSettings
from taskstream.compose.server.edge import EdgeSettings, build_edge
from taskstream.compose.server.serve import Serving, bind, serve
from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.acks.delivery import Delivery
from taskstream.producer.admission.limits import Limits
from taskstream.producer.errors import NotAcked
from taskstream.producer.http.application import Edge
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

ARGUMENTS = "TASKSTREAM_BENCH_ARGUMENTS"
THREAD_POLL_S = 0.1
AIO_POLL_S = 0.005


class ThreadAcks(AckedProducer):
    """A thread polls; the event loop is woken once for all the reports that lie there."""

    async def __aenter__(self):
        await super().__aenter__()
        self._polling = True  # so the loop never does
        self._reports: collections.deque = collections.deque()
        self._woken = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._poll_on)
        self._thread.start()
        return self

    async def __aexit__(self, *error) -> None:
        await super().__aexit__(*error)
        self._end.set()
        await asyncio.to_thread(self._thread.join)

    def _poll_on(self) -> None:
        while not self._end.is_set():
            self._producer.poll(THREAD_POLL_S)

    def _delivered(self, *report) -> None:
        self._reports.append(report)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._serve)

    def _serve(self) -> None:
        self._woken = False
        while self._reports:
            super()._delivered(*self._reports.popleft())


class AioAcks(AckedProducer):
    """The asyncio producer of confluent_kafka, in batches that suit it; it sends no headers and no timestamps."""

    async def __aenter__(self):
        self._loop = asyncio.get_running_loop()
        self._aio = AIOProducer(dict(self._config), batch_size=50, buffer_timeout=0.005)
        self._tasks: set[asyncio.Task] = set()
        self._poller = self._loop.create_task(self._poll_on())
        return self

    async def __aexit__(self, *_) -> None:
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=self._flush_timeout_s)
        self._poller.cancel()
        await self._aio.close()

    async def _poll_on(self) -> None:
        """It polls after it has produced, and never again: the last acks would lie there until the next report."""
        while True:
            await self._aio.poll(0)
            await asyncio.sleep(AIO_POLL_S)

    @property
    def queue_depth(self) -> int:
        return len(self._aio)

    def produce(self, event, waiter, topic=None) -> None:
        delivery = Delivery(self._delivered, waiter, self._loop.time() + self._ack_timeout_s)
        self._waiting[delivery] = None
        task = self._loop.create_task(self._one(event, delivery, topic or self._topic))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, event, delivery: Delivery, topic: str) -> None:
        try:
            message = await (await self._aio.produce(topic, event.value, event.key))
        except KafkaException as error:
            del self._waiting[delivery]
            delivery.waiter.failed(NotAcked(str(error), error.args[0].name()))
        else:
            self._delivered(delivery, None, message)


WAYS = {"loop": AckedProducer, "thread": ThreadAcks, "aio": AioAcks}


def edge_of(sender: str, servers: str, prefix: str, tokens: str) -> Edge:
    settings = EdgeSettings(
        kafka=KafkaClient(servers),
        topics=Topics(prefix),
        ids=TableIds(),
        callers=CallerSettings(tokens=Path(tokens)),
        limits=Limits(reports_per_s=0),
    )
    return build_edge(settings, make_acks=WAYS[sender])


def in_granian() -> Edge:
    """Called by granian in its worker."""
    return edge_of(*os.environ[ARGUMENTS].split("\n"))


def main(server: str, sender: str, port: str, *edge: str) -> int:
    if server == "granian":
        from granian import Granian
        from granian.constants import HTTPModes, Interfaces, Loops

        os.environ[ARGUMENTS] = "\n".join([sender, *edge])
        Granian(
            "benchmarks.ack_ways:in_granian", port=int(port), interface=Interfaces.ASGI, loop=Loops.uvloop,
            http=HTTPModes.http1, websockets=False, backlog=2048, factory=True, workers_kill_timeout=20,
        ).serve()  # fmt: skip
        return 0
    app = edge_of(sender, *edge)
    serving = Serving(port=int(port))
    return serve(app, bind(serving), serving, app.drain, app.express if server == "short" else None)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
