"""Tokens of a real Keystone: at the edge, and where we ask it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskstream.compose.local.kafka_jars import default_cache_dir
from taskstream.producer.callers.identity_service import IdentityService
from taskstream.producer.callers.keystone_settings import KeystoneSettings
from taskstream.producer.errors import IdentityUnavailable
from tests.keystone.environment import KeystoneMissing, bring_keystone
from tests.keystone.service import Keystone
from tests.private_files import write_private
from tests.producer.edges import running_edge
from tests.waiting import wait_until

PASSWORD = "a password of the tests"
SHORT_S = 6
CACHE_S = 8


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return bring_keystone(default_cache_dir(os.environ), print)
    except KeystoneMissing as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def keystone(python, tmp_path_factory) -> Iterator[Keystone]:
    """With a service account, and users of the project `migration` with the roles that they are named after."""
    with Keystone(python, tmp_path_factory.mktemp("keystone")) as keystone:
        keystone.user("taskstream", PASSWORD, keystone.project("service"), "service")
        migration = keystone.project("migration")
        for role in ("member", "reader", "migrator"):
            keystone.user(role, PASSWORD, migration, role)
        yield keystone


@pytest.fixture(scope="module")
def shortly(keystone) -> Iterator[Keystone]:
    """The same Keystone, giving out tokens that live for seconds."""
    with Keystone(keystone.python, keystone.folder, SHORT_S, keystone.password) as shortly:
        yield shortly


def settings_file(keystone: Keystone, folder: Path, **members: object) -> Path:
    path = folder / f"keystone-{secrets.token_hex(4)}.json"
    known = {"url": keystone.url, "username": "taskstream", "password": PASSWORD, "project": "service"}
    write_private(path, json.dumps({**known, "response_s": 60, **members}))  # a busy machine's Keystone is slow
    return path


@pytest.fixture(scope="module")
def guarded(broker, edge_topics, keystone, tmp_path_factory):
    """An edge that asks the Keystone, and remembers for seconds."""
    folder = tmp_path_factory.mktemp("guarded")
    file = settings_file(keystone, folder, cache_s=CACHE_S)
    with running_edge(broker, edge_topics.prefix, folder, "--keystone", str(file)) as running:
        yield running


def put_once(edge, token):
    answer = edge.put(X_Auth_Token=token)
    return answer.status, answer.json().get("error_code") if answer.data else None


def put(edge, token):
    """As a client does: what is answered with 503 is sent again, for a Keystone on a busy machine can be slow."""
    wait_until(lambda: put_once(edge, token)[0] != 503, pause_s=2.0)  # a hurried client would keep it busy for ever
    return put_once(edge, token)


def test_a_token_by_password_is_taken_and_gives_the_project(guarded, keystone):
    token = keystone.token("member", PASSWORD, "migration")
    assert put(guarded, token) == (200, None)
    shown = guarded.put(query="?validate=true", X_Auth_Token=token).json()
    assert shown["event"]["project_id"] == keystone_project(keystone)


def keystone_project(keystone: Keystone) -> str:
    facts = identity(keystone).validate(keystone.token("member", PASSWORD, "migration"))
    assert facts is not None
    return facts.project_id


def identity(keystone: Keystone, **changes: str) -> IdentityService:
    known = {"url": f"{keystone.url}/v3", "username": "taskstream", "password": PASSWORD, "project": "service"}
    return IdentityService(KeystoneSettings(**{**known, **changes}, response_s=100))


@pytest.mark.parametrize("token", ["unknown", "gAAAAAB" + "x" * 200, "x" * 16_000, "a b", "\xe9"])
def test_an_unknown_token_is_401(guarded, token):
    assert put(guarded, token) == (401, "APIGW.0301")


def test_a_token_of_no_project_is_403(guarded, keystone):
    assert put(guarded, keystone.token("member", PASSWORD)) == (403, "APIGW.0302")


def test_a_reader_may_not_report(guarded, keystone):
    assert put(guarded, keystone.token("reader", PASSWORD, "migration")) == (403, "APIGW.0302")


def test_a_role_that_means_nothing_here_may_not_report_until_it_is_mapped(
    guarded, broker, edge_topics, keystone, tmp_path
):
    token = keystone.token("migrator", PASSWORD, "migration")
    assert put(guarded, token) == (403, "APIGW.0302")
    file = settings_file(keystone, tmp_path, roles={"migrator": ["report"]})
    with running_edge(broker, edge_topics.prefix, tmp_path, "--keystone", str(file)) as mapped:
        assert put(mapped, token) == (200, None)
        assert put(mapped, keystone.token("member", PASSWORD, "migration")) == (403, "APIGW.0302")


def test_a_token_is_refused_once_it_has_expired(guarded, shortly):
    def accepted() -> str | None:
        """A token that was still valid when it was used: on a busy machine it may expire before."""
        token = shortly.token("member", PASSWORD, "migration")
        return token if put(guarded, token) == (200, None) else None

    token = wait_until(accepted)
    wait_until(lambda: put(guarded, token) == (401, "APIGW.0301"))


def test_a_revoked_token_is_refused(guarded, keystone):
    token = keystone.token("member", PASSWORD, "migration")
    keystone.revoke(token)
    assert put(guarded, token) == (401, "APIGW.0301")


def test_a_token_revoked_after_it_was_seen_is_refused_when_it_is_forgotten(guarded, keystone):
    token = keystone.token("member", PASSWORD, "migration")
    assert put(guarded, token) == (200, None)
    keystone.revoke(token)
    wait_until(lambda: put(guarded, token) == (401, "APIGW.0301"))


def test_an_outage_is_503_and_never_401_and_heals(broker, edge_topics, keystone, tmp_path):
    seen, fresh = (keystone.token("member", PASSWORD, "migration") for _ in range(2))
    file = settings_file(keystone, tmp_path)
    with running_edge(broker, edge_topics.prefix, tmp_path, "--keystone", str(file)) as edge:
        assert put(edge, seen) == (200, None)
        keystone.stop()
        try:
            answer = edge.put(X_Auth_Token=fresh)
            assert (answer.status, answer.json()["retriable"]) == (503, True)
            assert int(answer.headers["Retry-After"]) > 0
            assert put_once(edge, "unknown") == (503, "TASKSTREAM.0503")
            assert put_once(edge, seen) == (200, None), "what is remembered outlives the outage"
            assert edge.put().status == 200, "the token file needs no Keystone"
        finally:
            keystone.start()
        wait_until(lambda: put(edge, fresh) == (200, None))
        assert put(edge, "unknown") == (401, "APIGW.0301")


def test_our_own_token_is_renewed_when_it_has_expired(keystone, shortly):
    ours = identity(shortly)
    lasting = keystone.token("member", PASSWORD, "migration")

    def valid() -> str | None:
        """Our own token once it has served: on a busy machine it may expire before it is used."""
        try:
            return ours._own_token if ours.validate(lasting) is not None else None
        except IdentityUnavailable:
            return None

    own = wait_until(valid)
    wait_until(lambda: keystone_forgot(keystone, own))
    wait_until(valid)
    assert ours._own_token != own


def keystone_forgot(keystone: Keystone, token: str) -> bool:
    return identity(keystone).validate(token) is None


def test_a_wrong_password_of_ours_is_an_outage_and_shows_no_secret(keystone):
    with pytest.raises(IdentityUnavailable, match="our own log-in") as told:
        identity(keystone, password="sesame").validate("any")
    assert "sesame" not in str(told.value)


def test_an_account_that_may_not_validate_is_an_outage(keystone):
    powerless = identity(keystone, username="member", project="migration")
    with pytest.raises(IdentityUnavailable, match="may not validate"):
        powerless.validate(keystone.token("reader", PASSWORD, "migration"))


def test_no_token_stands_in_the_log(guarded, keystone):
    token = keystone.token("member", PASSWORD, "migration")
    put(guarded, token)
    keystone.revoke(token)
    assert token not in guarded.log.read_text() + guarded.get("/metrics").data.decode()
    assert PASSWORD not in guarded.log.read_text()


@pytest.mark.slow
def test_what_cannot_be_brought_is_told_in_one_line(tmp_path):
    pinned = tmp_path / "pinned.txt"
    pinned.write_text("keystone==30.0.0\n")
    with pytest.raises(KeystoneMissing, match="could not be brought") as told:
        bring_keystone(tmp_path, print, pinned)
    assert "\n" not in str(told.value)
