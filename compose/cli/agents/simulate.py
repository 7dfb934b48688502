"""`taskstream simulate`: its options made into a fleet and a way, and the account of what was sent told."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import click

from taskstream.compose.cli.agents.simulate_account import SimulationReport
from taskstream.compose.cli.options.kafka_options import optional_kafka_options
from taskstream.compose.cli.options.quantities import seconds_of
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.token_option import token_of
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.rows import output_option
from taskstream.compose.cli.output.stopping import INTERRUPTED, stopped_by_signals
from taskstream.compose.errors import TopicsError
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import found_topics
from taskstream.producer.client.progress_client import ProgressClient
from taskstream.producer.fleet import DeliveryCounts, Fleet, drive
from taskstream.producer.fleet.http_sender import HttpSender
from taskstream.producer.fleet.topic_sender import TopicSender
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_TELL_S = 5.0
_NO_PAST_S = 0.0


def _past_of(context: click.Context, option: click.Parameter, text: str | None) -> float:
    return _NO_PAST_S if text is None else seconds_of(context, option, text)


@click.command()
@click.option("--tasks", default=50, type=click.IntRange(1, 1_000_000), help="How many migrations.")
@click.option("--rate", default=20.0, type=click.FloatRange(0, 1e6, min_open=True), help="Reports a second, of all.")
@click.option("--for", "for_s", default="5m", metavar="TIME", callback=seconds_of, help="How long: 30s, 10m, 1h.")
@click.option("--seed", type=click.IntRange(0), show_default="a new one", help="The same seed says the same again.")
@click.option("--endpoint", metavar="URL", help="The edge: http(s)://host[:port][/prefix].")
@click.option(
    "--token-file", type=click.Path(dir_okay=False, path_type=Path), help="A file that holds the token for the edge."
)
@click.option(
    "--token", help="The token itself. Better give it as TASKSTREAM_SIMULATE_TOKEN: others see command lines."
)
@click.option("--ca-file", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="Trust this CA alone.")
@click.option("--lanes", default=32, type=click.IntRange(1, 1000), help="Requests to the edge at the same time.")
@click.option("--to-topic", is_flag=True, help="Not over an edge: write the events that it would make of the reports.")
@click.option(
    "--past", "past_s", metavar="TIME", callback=_past_of, help="With --to-topic: write so much before, at once."
)
@click.option("--project", default="simulated", help="With --to-topic: whose tasks they are.")
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
    """Report as a believable fleet of migrations would.

    \b
    taskstream simulate --tasks 50 --rate 20 --for 5m --endpoint http://127.0.0.1:8080 --token-file token
    taskstream simulate --tasks 500 --for 10m --to-topic --past 30m --bootstrap-servers 127.0.0.1:9092

    Of twenty migrations nine are steady (half of those end), three noisy, and one each slows down, gets stuck, pauses,
    falls silent, is silent for a while, begins again, grows, repeats old reports. The report that is due is sent when
    it is due, however long answers take; one that finds no room is skipped and counted. The tasks are named after the
    seed: sim-SEED-00000 and so on.

    It prints what it sent, by task. Exit codes: 0 all that was due was acknowledged, 1 not all, 2 wrong usage,
    130 interrupted.
    """  # noqa: D301 (click takes a lone backspace for: keep these lines)
    if to_topic == (endpoint is not None):
        raise click.UsageError("give one of --endpoint URL and --to-topic")
    if past_s and not to_topic:
        raise click.UsageError("--past goes with --to-topic: an edge notes the moment at which it is told")
    if not 0 < len(project) <= 255 or "/" in project:
        raise click.BadParameter(f"{project[:300]!r} is no project: 1 to 255 characters without a slash")
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    counts, clock = DeliveryCounts(), time
    fleet = Fleet(tasks, seed, rate, past_s + for_s, clock.time() - past_s)
    sender: HttpSender | TopicSender
    with stopped_by_signals() as stop:
        if to_topic:
            sender = TopicSender(kafka.config(), _topic(kafka, prefix), ids, project, counts, stop)
        else:
            sender = HttpSender(_clients(endpoint or "", token_file, token, ca_file), counts, lanes, stop)

        def given_up() -> bool:
            return stop.is_set() or (isinstance(sender, HttpSender) and sender.rejected is not None)

        click.echo(f"seed {seed}: {tasks:,} tasks, {rate:g} reports a second for {for_s:g} s; Ctrl-C ends it", err=True)
        with sender:
            run = drive(
                fleet,
                sender,
                counts,
                rate=rate,
                for_s=for_s,
                past_s=past_s,
                clock=clock,
                stopped=given_up,
                tell=_Telling(counts),
            )
    SimulationReport(fleet, counts, run, seed, tasks, rate).tell(output)
    sums = counts.sums()
    if stop.is_set():
        context.exit(INTERRUPTED)
    context.exit(0 if run.on_time and not (sums.skipped or sums.refused or sums.unanswered) else 1)


def _topic(kafka: KafkaClient, prefix: str) -> str:
    if not kafka.bootstrap_servers:
        raise click.UsageError("--to-topic needs --bootstrap-servers HOST:PORT")
    name = Topics(prefix).progress.name
    if name not in found_topics(kafka.config(), Topics(prefix)):
        raise TopicsError(f"there is no topic {name}: run `taskstream topics create`, or give another --prefix")
    return name


def _clients(endpoint: str, token_file: Path | None, token: str | None, ca_file: Path | None) -> Any:
    secret = token_of(token_file, token, "TASKSTREAM_SIMULATE_TOKEN")
    try:
        ProgressClient(endpoint, secret, ca_file=ca_file).close()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return lambda: ProgressClient(endpoint, secret, ca_file=ca_file)


class _Telling:
    """A line on standard error every few seconds."""

    def __init__(self, counts: DeliveryCounts) -> None:
        self._counts = counts
        self._told_s = 0.0

    def __call__(self, elapsed_s: float) -> None:
        if elapsed_s - self._told_s >= _TELL_S:
            self._told_s = elapsed_s
            sums = self._counts.sums()
            lost = f", {sums.skipped:,} skipped" if sums.skipped else ""
            failed = f", {sums.refused + sums.unanswered:,} not acknowledged" if sums.refused or sums.unanswered else ""
            click.echo(
                f"{elapsed_s:.0f} s: {sums.sent:,} sent, {sums.acknowledged:,} acknowledged{failed}{lost}", err=True
            )
