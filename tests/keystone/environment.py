"""How a real Keystone gets onto this machine: once, by pip, into an environment of its own in the cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PINNED = Path(__file__).parents[2] / "requirements" / "keystone.txt"


class KeystoneMissing(Exception):
    """It cannot be brought; what to do is in the message."""


def bring_keystone(cache_dir: Path, notify: Callable[[str], None], pinned: Path = PINNED) -> Path:
    """The Python of an environment that has what `pinned` names; several processes may ask at once."""
    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    folder = cache_dir / f"keystone-{version}-{hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]}"
    python, complete = folder / "bin" / "python", folder / "complete"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "keystone.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what somebody left half done
            notify(f"bringing Keystone with pip into {folder} (once, 200 MB, about half a minute)")
            _run(sys.executable, "-m", "venv", str(folder))
            pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
            _run(str(python), *pip, "--require-hashes", "-r", str(pinned))
            complete.touch()
    return python


def _run(*command: str) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.startswith("ERROR")] or ["it said nothing"]
        raise KeystoneMissing(
            f"Keystone could not be brought: {' '.join(command[1:4])} ended with {done.returncode}: {said[-1][:300]}; "
            "check the network and pip's settings (pip config list)"
        )
