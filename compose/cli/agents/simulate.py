"""`taskstream simulate`: reports of a simulated fleet, sent to an edge or written to the topic."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import click

from taskstream.compose.cli.agents.simulation_report import SimulationReport
from taskstream.compose.cli.options.kafka_options import optional_kafka_options
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.sizes_and_durations import seconds_of
from taskstream.compose.cli.options.token_options import token_of, token_options
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.formats import output_option
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.stop_signals import INTERRUPTED, stop_event
from taskstream.compose.errors import TopicsError
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import found_topics
from taskstream.producer.client.progress_client import ProgressClient
from taskstream.producer.fleet import DeliveryCounts, Fleet, run_open_loop
from taskstream.producer.fleet.http_sender import HttpSender
from taskstream.producer.fleet.topic_sender import TopicSender
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_PROGRESS_LINE_S = 5.0
_TOKEN_VARIABLE = "TASKSTREAM_SIMULATE_TOKEN"  # noqa: S105 (the name of a variable)
_NO_PAST_S = 0.0


def _past_of(context: click.Context, option: click.Parameter, text: str | None) -> float:
    return _NO_PAST_S if text is None else seconds_of(context, option, text)


@click.command()
@click.option("--tasks", default=50, type=click.IntRange(1, 1_000_000), help="The number of migrations.")
@click.option(
    "--rate", default=20.0, type=click.FloatRange(0, 1e6, min_open=True), help="Reports per second, in total."
)
@click.option("--for", "for_s", default="5m", metavar="TIME", callback=seconds_of, help="The duration: 30s, 10m, 1h.")
@click.option(
    "--seed", type=click.IntRange(0), show_default="random", help="The seed; the same one repeats the same reports."
)
@click.option("--endpoint", metavar="URL", help="The edge: http(s)://host[:port][/prefix].")
@token_options(_TOKEN_VARIABLE)
@click.option("--lanes", default=32, type=click.IntRange(1, 1000), help="Concurrent requests to the edge.")
@click.option("--to-topic", is_flag=True, help="Write the events to the progress topic, without an edge.")
@click.option(
    "--past",
    "past_s",
    metavar="TIME",
    callback=_past_of,
    help="With --to-topic: first write the events of this past time, at once.",
)
@click.option("--project", default="simulated", help="With --to-topic: the project of the tasks.")
@optional_kafka_options
@schema_ids_option
@prefix_option
@output_option
@click.pass_context
def simulate(
    context: click.Context,
    *,
    tasks: int,
    rate: float,
    for_s: float,
    seed: int | None,
    endpoint: str | None,
    token_file: Path | None,
    token: str | None,
    ca_file: Path | None,
    lanes: int,
    to_topic: bool,
    past_s: float,
    project: str,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
    output: str,
) -> None:
    """Send the reports of a simulated fleet of migrations.

    \b
    taskstream simulate --tasks 50 --rate 20 --for 5m --endpoint http://127.0.0.1:8080 --token-file token
    taskstream simulate --tasks 500 --for 10m --to-topic --past 30m --bootstrap-servers 127.0.0.1:9092

    Of twenty migrations, nine are steady (half of them complete), three are noisy, and one each slows down, makes no
    progress, pauses, falls silent, is silent for a while, restarts, grows, repeats old reports. Each report is sent
    at its scheduled time, however long responses take; a report for which no connection is free is skipped and
    counted. The task ids contain the seed: sim-SEED-00000 and so on.

    The command prints what it sent, per task. Exit codes: 0 every scheduled report was acknowledged, 1 some were not,
    2 wrong usage, 130 interrupted.
    """  # noqa: D301 (a lone backspace makes click keep the lines that follow)
    if to_topic == (endpoint is not None):
        raise click.UsageError("give either --endpoint URL or --to-topic")
    if past_s and not to_topic:
        raise click.UsageError("--past requires --to-topic: an edge records the time at which it receives a report")
    if not 0 < len(project) <= 255 or "/" in project:
        raise click.BadParameter(f"{project[:300]!r} is not a project id: 1 to 255 characters without a slash")
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    counts, clock = DeliveryCounts(), time
    fleet = Fleet(tasks, seed, rate, past_s + for_s, clock.time() - past_s)
    sender: HttpSender | TopicSender
    with stop_event() as stop:
        if to_topic:
            sender = TopicSender(kafka.config(), _topic(kafka, prefix), ids, project, counts, stop)
        else:
            sender = HttpSender(_clients(endpoint or "", token_file, token, ca_file), counts, lanes, stop)

        def stopped() -> bool:
            return stop.is_set() or (isinstance(sender, HttpSender) and sender.token_error is not None)

        echo(f"seed {seed}: {tasks:,} tasks, {rate:g} reports per second for {for_s:g} s; Ctrl-C stops it", err=True)
        with sender:
            run = run_open_loop(
                fleet,
                sender,
                counts,
                rate=rate,
                for_s=for_s,
                past_s=past_s,
                clock=clock,
                should_stop=stopped,
                on_tick=_ProgressLines(counts),
            )
    SimulationReport(fleet, counts, run, seed, tasks, rate).print(output)
    sums = counts.sums()
    if stop.is_set():
        context.exit(INTERRUPTED)
    context.exit(0 if run.on_time and not (sums.skipped or sums.refused or sums.unanswered) else 1)


def _topic(kafka: KafkaClient, prefix: str) -> str:
    if not kafka.bootstrap_servers:
        raise click.UsageError("--to-topic needs --bootstrap-servers HOST:PORT")
    name = Topics(prefix).progress.name
    if name not in found_topics(kafka.config(), Topics(prefix)):
        raise TopicsError(f"topic {name} does not exist: run `taskstream topics create`, or give another --prefix")
    return name


def _clients(endpoint: str, token_file: Path | None, token: str | None, ca_file: Path | None) -> Any:
    secret = token_of(token_file, token, _TOKEN_VARIABLE)
    try:
        ProgressClient(endpoint, secret, ca_file=ca_file).close()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return lambda: ProgressClient(endpoint, secret, ca_file=ca_file)


class _ProgressLines:
    """A line on standard error every few seconds."""

    def __init__(self, counts: DeliveryCounts) -> None:
        self._counts = counts
        self._printed_s = 0.0

    def __call__(self, elapsed_s: float) -> None:
        if elapsed_s - self._printed_s >= _PROGRESS_LINE_S:
            self._printed_s = elapsed_s
            sums = self._counts.sums()
            lost = f", {sums.skipped:,} skipped" if sums.skipped else ""
            failed = f", {sums.refused + sums.unanswered:,} not acknowledged" if sums.refused or sums.unanswered else ""
            echo(f"{elapsed_s:.0f} s: {sums.sent:,} sent, {sums.acknowledged:,} acknowledged{failed}{lost}", err=True)
