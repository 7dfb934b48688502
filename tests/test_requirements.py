"""The pins in requirements/ agree with each other and with the bounds in pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
INSTALLED = [Requirement(text) for text in (*PROJECT["dependencies"], *EXTRAS["otel"], *EXTRAS["oidc"])]


def pins(name: str) -> dict[str, Version]:
    """The versions that a file in requirements/ pins, by name of the distribution."""
    found = re.findall(
        r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])? ?== ?([^\s;\\]+)",
        (ROOT / "requirements" / name).read_text(),
        re.MULTILINE,
    )
    return {canonicalize_name(distribution): Version(version) for distribution, version in found}


def lower_bound(requirement: Requirement) -> Version:
    (bound,) = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
    return bound


@pytest.mark.parametrize("larger", ["dev.txt", "bench.txt"])
def test_the_pins_for_tests_and_benchmarks_agree_with_those_for_running(larger):
    needed = pins("run.txt")

    assert needed
    assert {name: pins(larger).get(name) for name in needed} == needed


def test_the_pins_for_building_agree_with_those_for_development():
    needed = pins("build.txt")

    assert needed
    assert {name: pins("dev.txt").get(name) for name in needed} == needed


@pytest.mark.parametrize("requirement", INSTALLED, ids=lambda requirement: requirement.name)
def test_the_lowest_tested_version_is_the_lower_bound(requirement):
    assert pins("lowest.in")[canonicalize_name(requirement.name)] == lower_bound(requirement)
    assert pins("lowest.txt")[canonicalize_name(requirement.name)] == lower_bound(requirement)


@pytest.mark.parametrize("requirement", INSTALLED, ids=lambda requirement: requirement.name)
def test_the_pinned_version_is_within_the_bounds(requirement):
    assert requirement.specifier.contains(pins("dev.txt")[canonicalize_name(requirement.name)])
