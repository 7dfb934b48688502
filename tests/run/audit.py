"""`python -m tests.run.audit PIP_AUDIT FOLDER`: known vulnerabilities of the packages that are installed in FOLDER.

PIP_AUDIT is the program of an environment of its own. It exits with 0 when every package was compared and none is
vulnerable, with 1 when one is, and with 2 when some or all could not be compared: that is no clean result.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

OWN = "taskstream"
COMMAND = ("--progress-spinner", "off", "--format", "json", "--path")


def main() -> int:
    pip_audit, folder = sys.argv[1:]
    done = subprocess.run([pip_audit, *COMMAND, folder], capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        packages = []
    code, lines = verdict(packages, done.stderr)
    print("\n".join(lines))
    return code


def verdict(packages: list[dict[str, Any]], errors: str) -> tuple[int, list[str]]:
    """The exit code and what to print for pip-audit's report; `errors` is its standard error."""
    packages = [package for package in packages if package["name"] != OWN]
    compared = [package for package in packages if "skip_reason" not in package]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if not compared:
        reason = "it knows none of the packages" if skipped else errors.strip().rpartition("\n")[2][:300]
        return 2, [f"no package was compared, the vulnerability database cannot be used here: {reason}"]
    lines = [
        f"{package['name']} {package['version']}: {each['id']}, mended in {', '.join(each['fix_versions']) or 'no version'}"
        for package in compared
        for each in package["vulns"]
    ]
    found = bool(lines)
    lines.append(f"{len(compared)} packages compared, {len(lines)} vulnerabilities known")
    if skipped:
        lines.append(f"not in the database, so not compared: {', '.join(skipped)}")
    return (1 if found else 2 if skipped else 0), lines


if __name__ == "__main__":
    sys.exit(main())
