"""A pytest plugin: which tests need services, the order that follows from it, and one line about what a run leaves out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

SERVICES = {
    "broker": "Kafka",
    "private_kafka": "Kafka",
    "cluster": "Kafka",
    "private_cluster": "Kafka",
    "kafka_cache_dir": "Kafka",
    "browser": "a browser",
    "keystone": "Keystone",
    "node_folder": "npm",
    "asyncapi_folder": "npm",
    "foreign_python": "pip",
    "promtool": "a Debian package",
    "nginx": "a Debian package",
    "kustomize": "kubectl",
    "alertmanager": "a Debian package",
}
"""What a fixture starts. A test that has one of these in its closure is marked `services`."""
ALL = "all"
LEFT_OUT = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pure-first", action="store_true", help="run the tests that need no service first, then the slow files"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = Counter()


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    if services(item):
        item.add_marker("services")


@pytest.hookimpl(trylast=True)  # after pytest-randomly: within each half the order is its
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("pure_first"):
        slow_files = {item.path for item in items if services(item) and item.get_closest_marker("slow")}
        items.sort(key=lambda item: (bool(services(item)), item.path not in slow_files))


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        takes_long = {"time"} if item.get_closest_marker("slow") else set[str]()
        item.config.stash[LEFT_OUT].update({ALL} | services(item) | takes_long)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist: hand the numbers to the controller, which collects nothing itself."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker collects the same tests, so any one's numbers are the run's."""
    node.config.stash[LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash[LEFT_OUT]
    if left_out:
        needs = ", ".join(f"{count} need {what}" for what, count in left_out.most_common() if what != ALL)
        folders = "".join(f"{each}, and " for each in config.getoption("ignore") or [])
        terminalreporter.write_line(f"left out: {folders}{left_out[ALL]} tests{f' ({needs})' if needs else ''}")


def services(item: pytest.Item) -> set[str]:
    """What must run for this test."""
    return {SERVICES[name] for name in getattr(item, "fixturenames", ()) if name in SERVICES}
