"""The edge over TLS: who trusts whom, and what is told when they do not."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdksms.v3 import SmsClient, UpdateTaskSpeedReq, UpdateTaskSpeedRequest

from tests.pipeline.edge.certificates import Authority, Pair
from tests.private_files import write_private
from tests.producer.edges import REPORT, running_edge
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Pair:
    """What another authority vouches for."""
    return Authority(tmp_path_factory.mktemp("stranger"), "elsewhere").vouch_for("agent")


@pytest.fixture(scope="module")
def server(authority) -> Pair:
    return authority.vouch_for("edge")


@pytest.fixture(scope="module")
def secure(broker, edge_topics, tmp_path_factory, authority, server):
    """An edge that shows a certificate and asks for none, and knows an access key."""
    folder = tmp_path_factory.mktemp("secure")
    keys = folder / "keys"
    write_private(keys, json.dumps({"access": "AK", "secret": "SK", "project": "p", "roles": ["report"]}) + "\n")
    options = ["--tls-cert", str(server.certificate), "--tls-key", str(server.key), "--keys", str(keys)]
    trust = {"ca_certs": str(authority.file), "cert_reqs": "CERT_REQUIRED"}
    with running_edge(broker, edge_topics.prefix, folder, *options, tls=trust) as running:
        yield running


@pytest.fixture(scope="module")
def closed(broker, edge_topics, tmp_path_factory, authority, server):
    """An edge that lets only those in whom the authority vouches for."""
    folder = tmp_path_factory.mktemp("closed")
    options = ["--tls-cert", str(server.certificate), "--tls-key", str(server.key)]
    with running_edge(
        broker, edge_topics.prefix, folder, *options, "--tls-client-ca", str(authority.file),
        tls=shown(authority, authority.vouch_for("agent")),
    ) as running:  # fmt: skip
        yield running


def shown(authority: Authority, pair: Pair) -> dict[str, str]:
    return {
        "ca_certs": str(authority.file),
        "cert_reqs": "CERT_REQUIRED",
        "cert_file": str(pair.certificate),
        "key_file": str(pair.key),
    }


def put(edge, **tls: str) -> int:
    with urllib3.PoolManager(timeout=120, **tls) as http:
        return http.request(
            "PUT", f"{edge.url}/v3/tasks/t/progress", json=REPORT, headers={"X-Auth-Token": edge.token}, retries=False
        ).status


def test_a_report_over_tls_is_taken(secure):
    assert secure.url.startswith("https://")
    assert secure.put().status == 200


def test_the_official_sdk_works_over_tls(secure, authority):
    config = HttpConfig.get_default_config()
    config.ssl_ca_cert = str(authority.file)
    credentials = BasicCredentials("AK", "SK", "p")
    client = SmsClient.new_builder().with_credentials(credentials).with_endpoint(secure.url)
    report = UpdateTaskSpeedRequest(task_id="t", body=UpdateTaskSpeedReq(**REPORT))
    assert client.with_http_config(config).build().update_task_speed(report).status_code == 200


def test_who_does_not_trust_the_authority_does_not_speak_to_the_edge(secure):
    with pytest.raises(urllib3.exceptions.SSLError, match="certificate verify failed"):
        put(secure, cert_reqs="CERT_REQUIRED")


def test_plain_http_is_not_answered_there(secure):
    with (
        urllib3.PoolManager(timeout=120) as http,
        pytest.raises((urllib3.exceptions.ProtocolError, urllib3.exceptions.NewConnectionError)),
    ):
        http.request("GET", secure.url.replace("https", "http") + "/healthz", retries=False)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_protocol_is_refused(secure, authority):
    context = ssl.create_default_context(cafile=str(authority.file))
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with urllib3.PoolManager(timeout=120, ssl_context=context) as http, pytest.raises(urllib3.exceptions.SSLError):
        http.request("GET", f"{secure.url}/healthz", retries=False)


def test_a_body_past_its_bound_is_answered_over_tls_too(secure):
    answer = secure.put(body=b" " * 70_000)
    assert (answer.status, answer.json()["error_code"]) == (413, "TASKSTREAM.0413")


def test_with_a_client_authority_its_own_are_let_in(closed):
    assert closed.put().status == 200


def test_with_a_client_authority_nobody_else_is_let_in(closed, authority, stranger):
    trust = {"ca_certs": str(authority.file), "cert_reqs": "CERT_REQUIRED"}
    for tls in (trust, shown(authority, stranger)):
        with pytest.raises((urllib3.exceptions.SSLError, urllib3.exceptions.ProtocolError)):
            put(closed, **tls)
    assert closed.put().status == 200, "and the edge goes on"


def test_a_certificate_does_not_stand_for_a_token(closed):
    assert closed.put(X_Auth_Token="wrong").status == 401


def told(tmp_path: Path, *options: str) -> tuple[int, str]:
    """The exit code and the words of an edge that cannot start."""
    tokens = tmp_path / "tokens"
    tokens.touch(0o600)
    program = [sys.executable, "-c", "from taskstream.compose.cli import main; main()", "edge", "--bootstrap-servers"]
    done = subprocess.run(
        [*program, "127.0.0.1:1", "--port", "0", "--tokens", tokens, *options],
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stderr


@pytest.mark.slow
def test_files_that_do_not_fit_are_told_at_the_start(tmp_path, server, stranger):
    code, output = told(tmp_path, "--tls-cert", str(server.certificate), "--tls-key", str(stranger.key))
    assert (code, "cannot be used" in output, str(server.certificate) in output) == (1, True, True)
    code, output = told(tmp_path, "--tls-cert", str(tmp_path / "none"), "--tls-key", str(server.key))
    assert (code, str(tmp_path / "none") in output) == (1, True)
    pair = ["--tls-cert", str(server.certificate), "--tls-key", str(server.key)]
    code, output = told(tmp_path, *pair, "--tls-client-ca", str(server.key))
    assert (code, f"the authority {server.key} cannot be used" in output) == (1, True)


@pytest.mark.slow
def test_options_that_belong_together_are_asked_for_together(tmp_path, server):
    code, output = told(tmp_path, "--tls-cert", str(server.certificate))
    assert (code, "require each other" in output) == (2, True)
    assert told(tmp_path, "--tls-client-ca", str(server.certificate))[0] == 2


def test_a_handshake_counts_as_a_connection(broker, edge_topics, tmp_path, authority, server):
    options = ["--tls-cert", str(server.certificate), "--tls-key", str(server.key)]
    limits = ["--max-connections-per-address", "6", "--request-timeout", "3600"]
    trust = {"ca_certs": str(authority.file), "cert_reqs": "CERT_REQUIRED"}
    with (
        running_edge(broker, edge_topics.prefix, tmp_path, *options, *limits, tls=trust) as edge,
        contextlib.ExitStack() as clients,
    ):

        def connect() -> socket.socket:
            return clients.enter_context(socket.create_connection(("127.0.0.1", edge.port), timeout=300))

        silent = [connect() for _ in range(5)]  # and the connection of `edge.http` is the sixth
        assert connect().recv(1) == b"", "the seventh is closed at once"
        assert edge.put().status == 200
        silent[0].close()
        wait_until(lambda: put(edge, **trust) == 200, pause_s=0.2)
        assert "Traceback" not in edge.log.read_text()
