"""How a command ends on Ctrl-C, also where it comes within a call of confluent-kafka, which puts a TypeError in its place."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

from taskstream.compose.cli.stop_signals import exit_when_interrupted


def ended(body: str) -> tuple[int, str]:
    """Exit code and standard error of a command of its own process, with `body` in `exit_when_interrupted`."""
    program = f"""
import signal
import click
from confluent_kafka import Producer
from taskstream.compose.cli.stop_signals import exit_when_interrupted, stop_event

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it
NO_BROKER = {{"bootstrap.servers": "127.0.0.1:1", "log_level": 0}}

class Interrupting:
    def __str__(self):
        signal.raise_signal(signal.SIGINT)
        return "name"

@click.command
def command():
    with exit_when_interrupted("nothing was written"):
{textwrap.indent(textwrap.dedent(body), "        ")}

command()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_within_a_call_of_confluent_kafka_it_ends_as_everywhere():
    code, told = ended("Producer(NO_BROKER).produce('t', b'v', headers=[(Interrupting(), b'v')])")
    assert (code, told) == (130, "interrupted: nothing was written\n")


def test_between_calls_it_ends_with_the_message():
    assert ended("signal.raise_signal(signal.SIGINT)") == (130, "interrupted: nothing was written\n")


def test_an_error_of_that_kind_without_ctrl_c_is_no_interrupt():
    code, told = ended("Producer(NO_BROKER).produce('t', b'v', headers=[(object, 7)])")
    assert code == 1
    assert "TypeError" in told
    assert "interrupted" not in told


def test_a_block_that_counts_the_signals_itself_still_does():
    body = """
    with stop_event(signal.SIGINT) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
    raise SystemExit(7)
    """
    assert ended(body) == (7, "")


def test_what_was_to_be_done_with_the_signal_is_to_be_done_afterwards():
    before = signal.getsignal(signal.SIGINT)
    with exit_when_interrupted("nothing was written"):
        pass
    assert signal.getsignal(signal.SIGINT) is before
