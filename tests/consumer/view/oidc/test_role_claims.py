"""Which role the claims of a person give, and what somebody without one is told."""

from __future__ import annotations

import pytest

from taskstream.consumer.errors import SignInRefused
from taskstream.consumer.view.oidc.role_claims import RoleClaims, RoleGrant, name_of
from taskstream.schemas.http.caller import Role

ADMINS = RoleGrant("admins", Role.OPERATE, "operations")
FIRST, SECOND = RoleGrant("team-1", Role.READ, "p-1"), RoleGrant("team-2", Role.READ, "p-2")


def role_of(claims, claim="groups", grants=(FIRST, SECOND, ADMINS)):
    caller = RoleClaims(claim, grants).caller(claims)
    return caller.project_id, *caller.roles


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["team-2"], ("p-2", Role.READ)),
        ("team-2", ("p-2", Role.READ)),
        (["other", "team-2", "team-1"], ("p-1", Role.READ)),
        (["team-1", "admins"], ("operations", Role.OPERATE)),
    ],
)
def test_an_operators_grant_decides_and_then_the_first_configured(groups, role):
    assert role_of({"groups": groups}) == role


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["admins"]}}),
        ("https://x.example/roles", {"https://x.example/roles": ["admins"]}),
    ],
)
def test_a_claim_is_found_by_its_name_or_by_its_path(claim, claims):
    assert role_of(claims, claim) == ("operations", Role.OPERATE)


@pytest.mark.parametrize("groups", [None, "", [], {}, 7, True, ["adm"], ["ADMINS"], [["admins"]], {"admins": True}])
def test_any_other_value_gives_no_role(groups):
    with pytest.raises(SignInRefused, match="needs one of 'team-1', 'team-2', 'admins'"):
        role_of({"groups": groups, "sub": "ada"})


def test_somebody_without_a_role_is_told_the_claim_and_some_of_its_values():
    with pytest.raises(SignInRefused) as refused:
        role_of({"groups": [f"g-{number}" for number in range(1000)]})
    assert "the claim 'groups' of your account has 'g-0', 'g-1'" in str(refused.value)
    assert "and 980 more" in str(refused.value)


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"sub": "1", "name": "Ada L", "preferred_username": "ada"}, "ada"),
        ({"sub": "1", "name": "Ada L", "email": 7}, "Ada L"),
        ({"sub": "1", "name": "a\nb"}, "1"),
        ({"sub": "x" * 300}, "x" * 100),
        ({}, ""),
    ],
)
def test_a_person_has_the_name_that_people_know(claims, name):
    assert name_of(claims) == name
