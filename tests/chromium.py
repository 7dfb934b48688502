"""A real Chromium for tests: the system's, else installed with apt if possible; else a failure that names the remedy."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.waiting import LIMIT_S

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
GIVEN = "TASKSTREAM_TEST_CHROMIUM"
MISSING = f"no Chromium: install one (Debian: apt-get install chromium) or name it in {GIVEN}"

expect.set_options(timeout=LIMIT_S * 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser per test file; each test opens its own pages.

    While Playwright is open, its event loop runs in this thread, so other tests cannot start theirs.
    """
    executable = os.environ.get(GIVEN) or found() or installed()
    if executable is None:
        pytest.fail(MISSING, pytrace=False)
    with sync_playwright() as playwright:
        # Chromium's sandbox needs privileges that containers usually lack; the tests open only our own pages.
        opened = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        opened.on("context", lambda context: context.set_default_timeout(LIMIT_S * 1000))
        yield opened
        opened.close()


def found() -> str | None:
    """The first Chromium on the PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def installed() -> str | None:
    """Install Chromium with apt, as root on Debian; None if that is not possible."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return None
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with (Path(tempfile.gettempdir()) / "taskstream-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may be installing it
        if found() is None:
            for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
                subprocess.run(["apt-get", *arguments], env=env, check=False, capture_output=True)
    return found()
