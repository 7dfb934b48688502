"""Blocking calls in a thread: results and errors come back, and a call that does not return is abandoned."""

from __future__ import annotations

import threading

import pytest

from taskstream.consumer.bounded_calls import BoundedCalls, CallAbandoned


def test_results_and_errors_come_back_from_one_thread():
    calls = BoundedCalls()
    first, second = (calls.make(threading.get_ident, limit_s=300) for _ in range(2))
    assert first == second != threading.get_ident()
    with pytest.raises(TimeoutError, match="its own"):
        calls.make(lambda: (_ for _ in ()).throw(TimeoutError("its own")), limit_s=300)
    calls.close()


def test_a_call_that_does_not_return_is_abandoned_and_the_next_one_is_made():
    calls, returns = BoundedCalls(interval_s=0.01), threading.Event()
    with pytest.raises(CallAbandoned, match="did not return within 1 s"):
        calls.make(lambda: returns.wait(300), limit_s=1)
    assert calls.make(lambda: "next", limit_s=300) == "next"
    returns.set()
    calls.close()
