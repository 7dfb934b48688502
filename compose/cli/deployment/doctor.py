"""`taskstream doctor`: checks a deployment from outside and prints each finding as soon as it is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from taskstream.compose.cli.options.kafka_options import optional_kafka_options
from taskstream.compose.cli.options.registry_options import registry_option
from taskstream.compose.cli.options.sizes_and_durations import seconds_of
from taskstream.compose.cli.options.token_options import token_of
from taskstream.compose.cli.options.topic_options import topics_options
from taskstream.compose.cli.output.formats import output_option
from taskstream.compose.cli.output.terminal import echo, echo_json
from taskstream.compose.doctor.deployment_checks import Deployment, DeploymentChecks
from taskstream.compose.doctor.finding import Finding, FindingVerdict
from taskstream.compose.kafka_client import KafkaClient
from taskstream.producer.client.endpoint import validated_endpoint
from taskstream.schemas.topics import Topics

_FILE = click.Path(dir_okay=False, path_type=Path)


def _url(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return validated_endpoint(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--edge", metavar="URL", callback=_url, help="The edge: http(s)://host[:port].")
@click.option("--endpoint", "view", metavar="URL", callback=_url, help="The view, as for the command tasks.")
@click.option("--view", "old_view", metavar="URL", callback=_url, envvar="TASKSTREAM_DOCTOR_VIEW", hidden=True)
@click.option("--token-file", type=_FILE, help="A file with a token that has the role report.")
@click.option(
    "--token", help="The token. Other users can see command lines: prefer the variable TASKSTREAM_DOCTOR_TOKEN."
)
@click.option(
    "--view-token-file", type=_FILE, help="A file with a token that has the role read.  [default: the same token]"
)
@click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Trust only this certificate authority.",
)
@click.option("--group", help="The workers' consumer group.  [default: PREFIX.worker]")
@click.option(
    "--max-lag", default="60s", metavar="TIME", callback=seconds_of, help="The lag of the workers that is still good."
)
@click.option(
    "--wait", default="15s", metavar="TIME", callback=seconds_of, help="The time that each step of a report may take."
)
@click.option("--strict", is_flag=True, help="Exit with 1 also if a check is unknown.")
@optional_kafka_options
@registry_option
@topics_options
@output_option
def doctor(
    *,
    edge: str | None,
    view: str | None,
    old_view: str | None,
    token_file: Path | None,
    token: str | None,
    view_token_file: Path | None,
    ca_file: Path | None,
    group: str | None,
    max_lag: float,
    wait: float,
    strict: bool,
    kafka: KafkaClient,
    schema_registry: str | None,
    topics: Topics,
    output: str,
) -> None:
    """Check a deployment from outside, and print how to correct what is wrong.

    \b
    taskstream doctor --bootstrap-servers 127.0.0.1:9092 --edge http://127.0.0.1:8080 \\
        --endpoint http://127.0.0.1:8081 --token-file data/token

    Each check is good, bad or unknown. The checks are: the broker, the topics, a transaction, the workers' group and
    its lag, the schemas in a registry, the readiness of edge and view, the clocks, and the way of a report from the
    edge to the view with the time of each step. A part that is not named in the options is unknown. The command
    writes one complete report of the task taskstream-doctor in the token's project, and an empty record to the probe
    topic; nothing else.

    Exit codes: 0 no check is bad, 1 a check is bad (with --strict: or unknown), 2 wrong usage.
    """  # noqa: D301 (a lone backspace makes click keep the lines that follow)
    deployment = Deployment(
        kafka=kafka,
        topics=topics,
        group=group or f"{topics.prefix}.worker",
        registry_url=schema_registry,
        edge_url=edge,
        edge_token=_token(token_file, token),
        view_url=view or old_view,
        view_token=_token(view_token_file, None),
        ca_file=ca_file,
        max_lag_s=max_lag,
        wait_s=wait,
    )
    found = []
    for finding in DeploymentChecks(deployment).findings():
        found.append(finding)
        if output == "table":
            _print_finding(finding)
    if output == "json":
        echo_json([dataclasses.asdict(each) for each in found], indent=2)
    fails = {FindingVerdict.BAD, FindingVerdict.UNKNOWN} if strict else {FindingVerdict.BAD}
    click.get_current_context().exit(int(any(each.verdict in fails for each in found)))


def _print_finding(finding: Finding) -> None:
    echo(f"{finding.verdict:<8} {finding.check:<13} {finding.what}")
    if finding.verdict is not FindingVerdict.GOOD:
        echo(f"{'':<8} {'':<13} -> {finding.remedy}")


def _token(file: Path | None, value: str | None) -> str | None:
    return None if file is None and value is None else token_of(file, value, "TASKSTREAM_DOCTOR_TOKEN").read()
