"""Checks the readiness and the clock of an HTTP server: the edge or the view. It sends no credentials."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3

from taskstream.compose.doctor.clock_check import clock_finding
from taskstream.compose.doctor.finding import Finding, bad, good, unknown

REQUEST_TIMEOUT_S = 5.0
DATE_STEP_S = 2.0
"""A Date header has whole seconds, and servers update it only once per second."""


def check_server(name: str, url: str, pool: urllib3.PoolManager) -> Iterator[Finding]:
    """Whether /readyz answers 200, and whether the server's Date is right."""
    before_s = time.time()
    answer = pool.request("GET", f"{url}/readyz", timeout=REQUEST_TIMEOUT_S, retries=False, redirect=False)
    after_s = time.time()
    document = json_object(answer.data)
    checks = document.get("checks")
    if answer.status == 200 and isinstance(checks, dict):
        yield good(name, f"{url} is ready")
    elif isinstance(checks, dict):
        states = ", ".join(f"{check} {state}" for check, state in checks.items())
        yield bad(name, f"{url} is not ready: {states}", "correct what it names; it then becomes ready by itself")
    else:
        yield bad(name, f"{url}/readyz answers {answer.status}", f"is this the address of the {name}?")
    if "Date" in answer.headers:
        yield _check_clock(name, answer.headers["Date"], before_s, after_s)


def _check_clock(name: str, header: str, before_s: float, after_s: float) -> Finding:
    check = f"{name} clock"
    try:
        theirs_s = parsedate_to_datetime(header).timestamp()
    except ValueError:
        return unknown(check, f"the Date header is {header[:60]!r}", f"is there a proxy in front of the {name}?")
    return clock_finding(check, f"the {name}", theirs_s, before_s, after_s, step_s=DATE_STEP_S)


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; {} if it is anything else, because any server may answer at the address."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
