"""Builds the peers that the installed toolchains can build, and says of every other one how to get its toolchain."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILD_TIMEOUT_S = 300


def build_go(folder: Path) -> dict[str, Path]:
    """[name] The program of each Go peer, below `folder`; empty if there is no Go, or if the build fails."""
    if shutil.which("go") is None:
        print("the Go peers are left out: go is missing; install Go 1.26 or newer (Debian: apt-get install golang-go)")
        return {}
    programs = {name: folder / f"go-{name}" for name in ("edge", "worker")}
    for name, program in programs.items():
        command = ["go", "build", "-mod=readonly", "-o", str(program), f"./{name}"]
        environment = os.environ | {"GOTOOLCHAIN": "local"}
        built = subprocess.run(
            command,
            check=False,
            cwd=HERE / "go",
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
        )
        if built.returncode:
            print(f"the Go peers are left out: `{' '.join(command)}` failed: {built.stderr.strip()[-500:]}")
            return {}
    return programs
