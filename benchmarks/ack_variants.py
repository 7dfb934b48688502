"""Alternative ways to deliver Kafka's acks to the waiting requests, and alternative servers to run the edge in.

`python -m benchmarks.ack_variants SERVER ACKS PORT BOOTSTRAP_SERVERS PREFIX TOKENS` runs the edge with one of each.
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


class PollingAcks(AckedProducer):
    """The event loop polls every millisecond while events are in flight, as with a librdkafka that has no signal."""

    def _begin_signal(self) -> None:
        pass


class ThreadAcks(AckedProducer):
    """A thread polls the producer, and wakes the event loop once for all delivery reports that are queued."""

    async def __aenter__(self):
        await super().__aenter__()
        self._end_signal()
        self._polling = True  # so that the event loop never polls
        self._reports: collections.deque = collections.deque()
        self._wakeup_pending = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._poll_forever)
        self._thread.start()
        return self

    async def __aexit__(self, *error) -> None:
        await super().__aexit__(*error)
        self._end.set()
        await asyncio.to_thread(self._thread.join)

    def _poll_forever(self) -> None:
        while not self._end.is_set():
            self._producer.poll(THREAD_POLL_S)

    def _delivered(self, *report) -> None:
        self._reports.append(report)
        if not self._wakeup_pending:
            self._wakeup_pending = True
            self._loop.call_soon_threadsafe(self._handle_reports)

    def _handle_reports(self) -> None:
        self._wakeup_pending = False
        while self._reports:
            super()._delivered(*self._reports.popleft())


class AioAcks(AckedProducer):
    """confluent_kafka's asyncio producer, with tuned batches. It supports neither headers nor timestamps."""

    async def __aenter__(self):
        self._loop = asyncio.get_running_loop()
        self._aio = AIOProducer(dict(self._config), batch_size=50, buffer_timeout=0.005)
        self._tasks: set[asyncio.Task] = set()
        self._poller = self._loop.create_task(self._poll_forever())
        return self

    async def __aexit__(self, *_) -> None:
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=self._flush_timeout_s)
        self._poller.cancel()
        await self._aio.close()

    async def _poll_forever(self) -> None:
        """AIOProducer polls only after it has produced; without this, the last acks would wait for the next report."""
        while True:
            await self._aio.poll(0)
            await asyncio.sleep(AIO_POLL_S)

    @property
    def queue_depth(self) -> int:
        return len(self._aio)

    def produce(self, event, waiter, topic=None, delivered=None) -> None:
        delivery = Delivery(delivered or self._delivered, waiter, self._loop.time() + self._ack_timeout_s, event)
        self._waiting[delivery] = None
        task = self._loop.create_task(self._produce_one(event, delivery, topic or self._topic))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _produce_one(self, event, delivery: Delivery, topic: str) -> None:
        try:
            message = await (await self._aio.produce(topic, event.value, event.key))
        except KafkaException as error:
            del self._waiting[delivery]
            delivery.waiter.failed(NotAcked(str(error), error.args[0].name()))
        else:
            delivery(None, message)


ACKS = {"signal": AckedProducer, "loop": PollingAcks, "thread": ThreadAcks, "aio": AioAcks}


def make_edge(acks: str, servers: str, prefix: str, tokens: str) -> Edge:
    settings = EdgeSettings(
        kafka=KafkaClient(servers),
        topics=Topics(prefix),
        ids=TableIds(),
        callers=CallerSettings(tokens=Path(tokens)),
        limits=Limits(reports_per_s=0),
    )
    return build_edge(settings, make_acks=ACKS[acks])


def make_edge_for_granian() -> Edge:
    """The factory that granian calls in its worker process."""
    return make_edge(*os.environ[ARGUMENTS].split("\n"))


def main(server: str, acks: str, port: str, *edge: str) -> int:
    if server == "granian":
        from granian import Granian
        from granian.constants import HTTPModes, Interfaces, Loops

        os.environ[ARGUMENTS] = "\n".join([acks, *edge])
        Granian(
            "benchmarks.ack_variants:make_edge_for_granian", port=int(port), interface=Interfaces.ASGI,
            loop=Loops.uvloop, http=HTTPModes.http1, websockets=False, backlog=2048, factory=True,
            workers_kill_timeout=20,
        ).serve()  # fmt: skip
        return 0
    app = make_edge(acks, *edge)
    serving = Serving(port=int(port))
    return serve(app, bind(serving), serving, app.drain, app.express if server == "short" else None)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
