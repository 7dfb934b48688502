"""The watchdog: it bites once, with the name of the call that hangs, and nobody else."""

from __future__ import annotations

import subprocess
import sys
import threading

from taskstream.consumer.worker.watchdog import STUCK, Watchdog


class Bitten:
    """What an injected bite hears."""

    def __init__(self) -> None:
        self.why: list[str] = []
        self._heard = threading.Event()

    def __call__(self, why: str) -> None:
        self.why.append(why)
        self._heard.set()

    def await_bite(self) -> bool:
        return self._heard.wait(20)


def test_a_call_that_does_not_return_is_bitten_and_named():
    bitten = Bitten()
    with Watchdog(bitten, every_s=0.01) as dog, dog.watch("commit_transaction", 0.05):
        assert bitten.await_bite()
    assert bitten.why == ["commit_transaction did not return within 0 s"]


def test_the_inner_call_stands_for_itself_and_the_outer_one_goes_on():
    bitten = Bitten()
    with Watchdog(bitten, every_s=0.01) as dog, dog.watch("reading", 0.05):
        with dog.watch("restoring", 1_000):
            pass
        assert bitten.await_bite()
    assert bitten.why[0].startswith("reading")


def test_calls_that_return_are_left_alone():
    bitten = Bitten()
    with Watchdog(bitten, every_s=0.001) as dog:
        for _ in range(100):
            with dog.watch("commit", 1_000):
                pass
    assert bitten.why == []


def test_a_bite_ends_the_process_with_its_own_code_and_a_last_line():
    code = (
        "import time; from taskstream.consumer.worker.watchdog import Watchdog\n"
        "with Watchdog(every_s=0.01) as dog, dog.watch('commit', 0.05): time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == STUCK
    assert done.stderr.endswith("commit did not return within 0 s; ending so that a supervisor can start it again\n")
