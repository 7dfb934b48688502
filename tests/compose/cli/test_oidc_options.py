"""The options of a sign-in with a provider: what they become, and what is said of those that do not fit."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from taskstream.compose.cli.options.oidc_options import oidc_options
from taskstream.compose.server.oidc import OidcSettings
from taskstream.consumer.view.oidc.role_claims import RoleGrant
from taskstream.schemas.http.caller import Role

LEAST = ("--oidc-issuer", "https://id.example/realms/x", "--oidc-client-id", "view", "--oidc-role", "admins=operate")


@click.command()
@click.option("--host", default="127.0.0.1")
@click.option("--port", default=8081)
@click.option("--tls")
@oidc_options
@click.pass_context
def server(context: click.Context, oidc: OidcSettings | None, **_: object) -> None:
    context.obj["oidc"] = oidc


def run(*options: str) -> tuple[Result, OidcSettings | None]:
    found: dict[str, OidcSettings | None] = {}
    result = CliRunner().invoke(server, options, obj=found)
    return result, found.get("oidc")


def settings(*options: str) -> OidcSettings:
    result, found = run(*LEAST, *options)
    assert found is not None, result.output
    return found


def refusal(*options: str) -> str:
    result, _ = run(*options)
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


def test_the_least_options_are_enough_on_loopback():
    found = settings()
    assert (found.public_url, found.name, found.roles.claim) == ("http://127.0.0.1:8081", "id.example", "groups")
    assert found.scopes == ("openid", "profile", "email")
    assert settings("--tls", "yes").public_url == "https://127.0.0.1:8081"
    assert settings("--public-url", "https://view.example/tasks/").public_url == "https://view.example/tasks"
    assert run()[1] is None


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("ops=operate:hq", RoleGrant("ops", Role.OPERATE, "hq")),
        ("cn=ops,ou=x=read:p-1", RoleGrant("cn=ops,ou=x", Role.READ, "p-1")),
        ("/ops/a b=read:p:1", RoleGrant("/ops/a b", Role.READ, "p:1")),
    ],
)
def test_the_last_equals_sign_ends_the_value_of_a_role(text, grant):
    assert settings("--oidc-role", text).roles.grants == (RoleGrant("admins", Role.OPERATE, "operations"), grant)


@pytest.mark.parametrize("text", ["ops", "ops=", "=operate", "ops=read", "ops=report:p", "ops=read:a/b", "ops=admin"])
def test_a_role_that_does_not_exist_is_refused(text):
    assert "Invalid value for '--oidc-role'" in refusal(*LEAST, "--oidc-role", text)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--oidc-client-id", "x"), "need --oidc-issuer"),
        (("--oidc-role", "a=operate"), "need --oidc-issuer"),
        (LEAST[:4], "--oidc-role at least once"),
        (LEAST[:2] + LEAST[4:], "needs --oidc-client-id"),
        ((*LEAST, "--oidc-issuer", "http://id.example"), "must be an https URL"),
        ((*LEAST, "--oidc-issuer", "https://id.example?x=1"), "must be an https URL"),
        ((*LEAST, "--host", "0.0.0.0"), "needs --public-url"),
        ((*LEAST, "--port", "0"), "needs --public-url"),
        ((*LEAST, "--public-url", "view.example"), "--public-url must be"),
        ((*LEAST, "--oidc-session", "10s"), "too short"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(options, why):
    assert why in refusal(*options)


@pytest.mark.slow
def test_without_the_extra_the_option_says_what_to_install():
    code = (
        "import sys; sys.modules['authlib'] = None; import click; "
        "from taskstream.compose.cli.options.oidc_options import oidc_options; "
        "click.command()(click.option('--host', default='::1')(click.option('--port', default=1)("
        "click.option('--tls')(oidc_options(lambda **_: None)))))()"
    )
    run_it = [sys.executable, "-c", code]
    done = subprocess.run([*run_it, *LEAST], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, "pip install 'taskstream[oidc]'" in " ".join(done.stderr.split())) == (2, True)
    assert "Traceback" not in done.stderr
    assert subprocess.run(run_it, timeout=300, check=False).returncode == 0
