"""The edge and the view as anybody reaches them: ready or not, and what time it is there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3

from taskstream.compose.doctor.clock_check import clock_finding
from taskstream.compose.doctor.finding import Finding, bad, good, unknown

ANSWER_S = 5.0
DATE_STEP_S = 2.0
"""A Date header tells whole seconds, and servers make it anew only once a second."""


def face_at(name: str, url: str, pool: urllib3.PoolManager) -> Iterator[Finding]:
    """/readyz of the edge, the view or a worker, and its clock."""
    before_s = time.time()
    answer = pool.request("GET", f"{url}/readyz", timeout=ANSWER_S, retries=False, redirect=False)
    after_s = time.time()
    document = object_of(answer.data)
    checks = document.get("checks")
    if answer.status == 200 and isinstance(checks, dict):
        yield good(name, f"{url} is ready")
    elif isinstance(checks, dict):
        told = ", ".join(f"{check} {state}" for check, state in checks.items())
        yield bad(name, f"{url} is not ready: {told}", "mend what it names; it becomes ready by itself")
    else:
        yield bad(name, f"{url}/readyz answers {answer.status}", f"is this the address of the {name}?")
    if "Date" in answer.headers:
        yield _clock(name, answer.headers["Date"], before_s, after_s)


def _clock(name: str, header: str, before_s: float, after_s: float) -> Finding:
    check = f"{name} clock"
    try:
        theirs_s = parsedate_to_datetime(header).timestamp()
    except ValueError:
        return unknown(check, f"its Date header is {header[:60]!r}", f"is there something between us and the {name}?")
    return clock_finding(check, f"the {name}", theirs_s, before_s, after_s, step_s=DATE_STEP_S)


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer; an empty one if it is something else: whoever answers may be a stranger."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
