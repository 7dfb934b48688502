"""Manual garbage collection: a Ctrl-C during a collection is not lost, and the settings are as before afterwards."""

from __future__ import annotations

import gc
import signal

import pytest

from taskstream.consumer.gc_control import manual_gc


class Interrupting:
    """Part of a cycle; its destructor raises SIGINT."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_no_automatic_collection_happens_meanwhile():
    with manual_gc():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_interrupt_during_a_collection_is_raised_after_it(capfd):
    gc.collect()  # the automatic one is due only after many more objects: it must not be the one that is interrupted
    Interrupting()
    with pytest.raises(KeyboardInterrupt), manual_gc():
        pytest.fail("the interrupt was lost")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert gc.isenabled()
    assert capfd.readouterr().err == ""
