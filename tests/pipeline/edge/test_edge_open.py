"""An edge without any check of callers: for one machine, and loud about it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from taskstream.schemas.http.loopback import is_loopback
from tests.producer.edges import running_edge


def told(*options: str) -> tuple[int, str]:
    """The exit code and the words of an edge that does not start."""
    program = [sys.executable, "-c", "from taskstream.compose.cli import main; main()", "edge"]
    arguments = ["--bootstrap-servers", "127.0.0.1:1", "--port", "0", *options]
    done = subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stderr


def test_any_token_is_taken_for_the_project_default_and_it_is_said_loudly(broker, edge_topics, tmp_path):
    with running_edge(broker, edge_topics.prefix, tmp_path, "--insecure-open") as edge:
        shown = edge.put(query="?validate=true", X_Auth_Token="anything").json()
        assert shown["event"]["project_id"] == "default"
        assert edge.put(X_Auth_Token="anything").status == 200
        assert edge.put(X_Auth_Token="").status == 401, "some token must be there, as the API wants it"
        shown = edge.put(query="?validate=true").json()
        assert shown["event"]["project_id"] == "project-1", "a token that is known counts for what it is"
        log = edge.log.read_text()
        assert "warning" in log
        assert "ANY token is accepted" in log
        assert "anything" not in log


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "edge.example"])
def test_an_address_that_others_reach_is_refused(host):
    code, words = told("--insecure-open", "--host", host)
    assert code == 2
    assert f"--insecure-open needs a loopback address such as 127.0.0.1, and --host is {host}" in words


@pytest.mark.slow
def test_without_any_kind_of_credentials_it_does_not_start():
    code, words = told()
    assert code == 1
    assert "no credentials are configured: set a token file, a file of access keys, or a Keystone service" in words
    assert "; give --tokens, --keys or --keystone" in words


@pytest.mark.parametrize(
    "host, loopback",
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_what_counts_as_a_loopback_address(host, loopback):
    assert is_loopback(host) is loopback
