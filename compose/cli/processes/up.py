"""`taskstream up`: its options, its signals, and what it prints."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import click

from taskstream.compose.cli.options.kafka_options import cache_dir_option, optional_kafka_options
from taskstream.compose.cli.options.topic_options import topics_options
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.kept_service import Happening, ServiceDied, ServiceReady
from taskstream.compose.local.local_stack import LocalStack, StackSettings
from taskstream.schemas.topics import Topics

PORT = click.IntRange(0, 65_535)
ONE_WISH_S = 0.5
EXAMPLE = {
    "subtask_name": "MIGRATE_LINUX_FILE",
    "progress": 42,
    "replicatesize": 420_000_000,
    "totalsize": 1_000_000_000,
    "process_trace": "copying /srv",
}


@click.command()
@optional_kafka_options
@topics_options
@cache_dir_option
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default="data",
    help="Where Kafka's data, the token and the logs are kept; a restart goes on from there.",
)
@click.option("--kafka-port", type=PORT, default=9092, help="Of the local Kafka. Every port: 0 means a free one.")
@click.option("--edge-port", type=PORT, default=8080, help="Where agents report to.")
@click.option("--view-port", type=PORT, default=8081, help="Where people and the SDK read.")
@click.option(
    "--worker-metrics-port", type=PORT, default=9464, help="Of the first worker's metrics; the next has the next one."
)
@click.option("--workers", type=click.IntRange(1), default=1, help="How many; more than --partitions are idle.")
@click.option(
    "--bucket",
    "bucket_s",
    type=click.FloatRange(min=0.001),
    default=60.0,
    envvar="TASKSTREAM_BUCKET",
    help="Seconds in a 'minute' of the rates; a short one suits short copies. For life, as --partitions is.",
)
@click.option(
    "--tokens",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file of hashed tokens, see `taskstream tokens add`. Without it a token is made at the first start.",
)
def up(
    *,
    kafka: KafkaClient,
    topics: Topics,
    cache_dir: Path,
    data_dir: Path,
    kafka_port: int,
    edge_port: int,
    view_port: int,
    worker_metrics_port: int,
    workers: int,
    bucket_s: float,
    tokens: Path | None,
) -> None:
    """Bring up Kafka, the topics, the view, workers and the edge, each in a process of its own.

    With --bootstrap-servers that Kafka is used, and none is started. A process that dies is reported and started
    again; Ctrl-C stops all in order, a second one at once. Further options of the processes can be given through
    their own environment variables, such as TASKSTREAM_EDGE_... and TASKSTREAM_WORKER_...
    """
    settings = StackSettings(
        data_dir=data_dir,
        cache_dir=cache_dir,
        kafka=kafka,
        topics=topics,
        tokens=tokens,
        kafka_port=kafka_port,
        edge_port=edge_port,
        view_port=view_port,
        worker_metrics_port=worker_metrics_port,
        workers=workers,
        bucket_s=bucket_s,
    )
    if kafka.bootstrap_servers:
        named = "--bootstrap-servers or TASKSTREAM_BOOTSTRAP_SERVERS names it"
        say(f"using Kafka at {kafka.bootstrap_servers}, because {named}; none is started here")
    began_s = time.monotonic()
    with until_stopped() as hurry, LocalStack(settings, tell=tell, notify=say, hurry=hurry) as stack:
        say(f"taskstream is up after {time.monotonic() - began_s:.1f} s; Ctrl-C stops it")
        click.echo(addresses(stack))
        stack.run()


@contextlib.contextmanager
def until_stopped() -> Iterator[Callable[[], bool]]:
    """Within, the first SIGINT, SIGTERM or SIGHUP is a KeyboardInterrupt, which ends the block and goes no further.

    Gives what tells whether there was another one later, which interrupts nothing. Signals that come with the first
    are one wish: a service manager sends two, a terminal that closes sends its own.
    """
    received_at_s: list[float] = []

    def on_signal(_signum: int, _frame: FrameType | None) -> None:
        received_at_s.append(time.monotonic())
        if len(received_at_s) == 1:
            raise KeyboardInterrupt

    def is_in_hurry() -> bool:
        return bool(received_at_s) and received_at_s[-1] - received_at_s[0] > ONE_WISH_S

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, on_signal) for signum in signals}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield is_in_hurry
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def say(message: str) -> None:
    """To whoever watches; nobody does any more when the terminal is gone."""
    with contextlib.suppress(OSError):
        click.echo(message, err=True)


def tell(happening: Happening) -> None:
    """One line for what happened to a process, and the last words of one that died."""
    match happening:
        case ServiceReady(name, pid, after_s):
            say(f"{name}: ready after {after_s:.1f} s (pid {pid})")
        case ServiceDied(name, code, last_lines, _, restart_in_s):
            say(f"{name}: {ended(code)}, starting it again in {restart_in_s:g} s; its last lines:")
            say("\n".join(f"  | {line}" for line in last_lines.splitlines() or ["(it said nothing)"]))
        case _:
            say(f"{happening.service}: {'killed, it did not stop in time' if happening.forced else 'stopped'}")


def ended(code: int) -> str:
    """An exit code in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def addresses(stack: LocalStack) -> str:
    """Where everything is, and what to paste to try it."""
    settings, token = stack.settings, stack.token or "YOUR-TOKEN"
    task = "v3/tasks/3f1c-first"
    report = ["curl", "-i", "-X", "PUT", f"{stack.edge_url}/{task}/progress", "-H", f"X-Auth-Token: {token}"]
    report += ["-H", "Content-Type: application/json", "-d", json.dumps(EXAMPLE, separators=(",", ":"))]
    read = ["curl", "-s", f"{stack.view_url}/{task}", "-H", f"X-Auth-Token: {token}"]
    lines = [
        f"  edge    {stack.edge_url}",
        f"  view    {stack.view_url}",
        *(f"  worker  {url}/metrics" for url in stack.worker_urls),
        f"  kafka   {stack.kafka.bootstrap_servers} (topics {settings.topics.prefix}.*)",
        f"  data    {settings.data_dir} (logs in {settings.data_dir / 'logs'})",
        "report progress:",
        f"  {shlex.join(report)}",
        "read it back:",
        f"  {shlex.join(read)}",
    ]
    return "\n".join(lines)
