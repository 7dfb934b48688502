"""Durations as options take them: every spelling, and a clear sentence for what is none."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from taskstream.compose.cli import cli
from taskstream.compose.cli.options.sizes_and_durations import Seconds


@click.command
@click.option("--time", "seconds", type=Seconds(0.5))
@click.option("--more", type=Seconds(may_be_least=False), default=1)
def told(seconds: float, more: float) -> None:
    click.echo(f"{seconds} {more}")


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("PT10M", 600), ("7", 7), ("0.5", 0.5), ("500ms", 0.5)])
def test_every_spelling_is_taken(text, seconds):
    assert CliRunner().invoke(told, ["--time", text]).output == f"{float(seconds)} 1.0\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--time", "soon"],
            "'soon' is not a duration: write 500ms, 90s, 10m, 2h, 30d or PT10M, or a number of seconds",
        ),
        (["--time", "100ms"], "'100ms' is too short: give at least 0.5 s"),
        (["--more", "0"], "'0' is too short: give more than 0 s"),
        (["--time", "nan"], "'nan' is not a duration"),
        (["--time", "-1"], "'-1' is not a duration"),
    ],
)
def test_what_is_none_is_told_with_the_way_to_write_it(arguments, words):
    result = CliRunner().invoke(told, arguments)

    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_range_begins_a_duration_ago():
    result = CliRunner().invoke(cli, ["tail", "--from", "10x", "--bootstrap-servers", "127.0.0.1:1"])

    assert "'10x' is not a bound of a range" in result.output
    assert "a duration before now (15m or PT15M)" in " ".join(result.output.split())
