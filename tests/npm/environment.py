"""How programs from npm get onto this machine: once, by npm, into a folder of their own in the cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
PINNED = HERE / "package-lock.json"


class NpmMissing(Exception):
    """The packages cannot be installed; what to do is in the message."""


def install_npm_packages(cache_dir: Path, notify: Callable[[str], None]) -> Path:
    """A folder with the scripts of this one and the pinned packages; several processes may ask at once.

    Raises:
        NpmMissing: there is no npm, or it failed.
    """
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise NpmMissing("these tests need node and npm on the PATH")
    scripts = sorted(HERE.glob("*.mjs"))
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in [PINNED, *scripts])).hexdigest()[:12]
    folder = cache_dir / f"npm-{digest}"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)  # an incomplete installation
            folder.mkdir()
            for each in [HERE / "package.json", PINNED, *scripts]:
                shutil.copy(each, folder)
            notify(f"installing packages with npm into {folder} (once, 55 MB)")
            command = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                said = done.stderr.strip().splitlines()[:1]
                raise NpmMissing(
                    f"npm ci ended with {done.returncode}: {said}; check the network and `npm config list`"
                )
            (folder / "complete").touch()
    return folder


def run_node(folder: Path, script: str, text: str) -> str:
    """The output of one of the scripts, with `text` as its input."""
    done = subprocess.run(["node", script], cwd=folder, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
