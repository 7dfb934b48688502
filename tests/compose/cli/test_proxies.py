"""The rule of proxies: no command uses one that its environment names; the agent uses one that its option names."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.producer.client.scripted_edge import ScriptedEdge
from tests.schemas.registry.registry_server import serving


@pytest.fixture
def proxy():
    """Counts what it is asked for, and answers all of it with 200."""
    with ScriptedEdge() as counting:
        yield counting


def run(proxy: ScriptedEdge, *words: str) -> subprocess.CompletedProcess[str]:
    """A command whose environment names the proxy in every way."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    named = {each: proxy.url for name in names for each in (name, name.upper())}
    environment = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    command = [sys.executable, "-m", "taskstream", *words]
    return subprocess.run(command, env=environment | named, capture_output=True, text=True, check=False)


def copied(proxy: ScriptedEdge, folder, endpoint: str, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "src").mkdir()
    (folder / "src" / "file").write_text("content")
    words = ("agent", "copy", f"{folder / 'src'}", f"{folder / 'dst'}", "--task-id", "t", "--token", "a-token")
    return run(proxy, *words, "--endpoint", endpoint, *more)


@pytest.mark.slow
def test_the_registry_is_asked_directly(proxy):
    with serving() as registry:
        done = run(proxy, "schemas", "register", "--schema-registry", registry.url)
        assert done.returncode == 0, done.stderr
        assert registry.subjects
    assert proxy.requests == []


def test_the_agent_reports_directly(proxy, tmp_path):
    with ScriptedEdge() as edge:
        done = copied(proxy, tmp_path, edge.url)
        assert done.returncode == 0, done.stderr
        assert edge.acknowledged
    assert proxy.requests == []


@pytest.mark.slow
def test_the_view_is_asked_directly(proxy):
    with ScriptedEdge() as view:
        run(proxy, "tasks", "list", "--endpoint", view.url, "--token", "a-token")
        assert [each.path.partition("?")[0] for each in view.requests] == ["/tasks"]
    assert proxy.requests == []


def test_the_agent_reports_through_the_proxy_that_it_is_told(proxy, tmp_path):
    done = copied(proxy, tmp_path, "http://edge.invalid", "--proxy", proxy.url)
    assert done.returncode == 0, done.stderr
    assert {each.path for each in proxy.acknowledged} == {"http://edge.invalid/v3/tasks/t/progress"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "words"),
    [("socks5://127.0.0.1:1", "is not http(s)://host[:port]"), ("http://user:secret@127.0.0.1:1", "has a user name")],
)
def test_a_proxy_of_another_kind_is_wrong_usage(proxy, tmp_path, url, words):
    done = copied(proxy, tmp_path, "http://edge.invalid", "--proxy", url)
    assert (done.returncode, words in done.stderr, "secret" in done.stderr) == (2, True, False)
