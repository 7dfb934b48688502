"""What `make audit` concludes from pip-audit's report."""

from __future__ import annotations

from tests.run.audit import verdict

CLEAN = {"name": "click", "version": "8.4.0", "vulns": []}
VULNERABLE = {
    "name": "jinja2",
    "version": "3.1.5",
    "vulns": [{"id": "PYSEC-2025-1", "fix_versions": ["3.1.6"], "aliases": [], "description": ""}],
}
UNKNOWN = {"name": "numpy", "skip_reason": "not found"}
OWN = {"name": "taskstream", "skip_reason": "not found"}


def test_compared_and_clean():
    assert verdict([CLEAN, OWN], "") == (0, ["1 packages compared, 0 vulnerabilities known"])


def test_a_vulnerability_is_named_with_the_version_that_mends_it():
    code, lines = verdict([CLEAN, VULNERABLE], "")
    assert code == 1
    assert lines[0] == "jinja2 3.1.5: PYSEC-2025-1, mended in 3.1.6"


def test_what_was_not_compared_is_not_called_clean():
    code, lines = verdict([CLEAN, UNKNOWN], "")
    assert code == 2
    assert lines[-1] == "not in the database, so not compared: numpy"


def test_a_database_that_knows_nothing_is_not_called_clean():
    code, lines = verdict([UNKNOWN, OWN], "No known vulnerabilities found")
    assert code == 2
    assert lines == [
        "no package was compared, the vulnerability database cannot be used here: it knows none of the packages"
    ]


def test_a_database_that_cannot_be_reached_is_said_with_the_last_error():
    code, lines = verdict([], "Traceback ...\nConnectionError: no route")
    assert code == 2
    assert "ConnectionError: no route" in lines[0]
