"""Garbage looked for by hand: an interrupt that comes meanwhile is not lost, and everything is as it was afterwards."""

from __future__ import annotations

import gc
import signal

import pytest

from taskstream.consumer.worker.gc_control import manual_gc


class Interrupting:
    """Part of a cycle; when it is freed, somebody presses Ctrl-C."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_within_nothing_is_looked_for_by_itself():
    with manual_gc():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_interrupt_while_garbage_is_freed_still_comes(capfd):
    Interrupting()
    with pytest.raises(KeyboardInterrupt), manual_gc():
        pytest.fail("the interrupt was lost")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert gc.isenabled()
    assert capfd.readouterr().err == ""
