"""Builds the peers that the installed toolchains can build, and says of every other one how to get its toolchain."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taskstream.compose.local.kafka_jars import default_cache_dir
from taskstream.schemas.catalog import newest

HERE = Path(__file__).parent
BUILD_TIMEOUT_S = 900
JAVA_RECORDS = ("ProgressReported", "SeriesState", "RateWindow")
JAVA = ("java", "-XX:+UseParallelGC", "-Xmx6g", "-Dorg.apache.avro.specific.use_custom_coders=true")
"""Avro's generated coders are off by default; they need a third less CPU."""
Command = tuple[str, ...]


class BuildError(Exception):
    """A toolchain is missing, or its build failed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Programs:
    """[name of a peer] The beginning of its command; the arguments follow."""

    edges: Mapping[str, Command] = field(default_factory=dict)
    workers: Mapping[str, Command] = field(default_factory=dict)


def build_peers(folder: Path, wanted: Callable[[str], bool] = lambda _: True) -> Programs:
    """Build the wanted peers, by name, below `folder`; print a line for each toolchain whose peers are left out."""
    edges: dict[str, Command] = {}
    workers: dict[str, Command] = {}
    builders: dict[tuple[str, ...], Callable[[Path], Programs]] = {
        ("Go",): build_go,
        ("Rust",): build_rust,
        ("Netty", "Streams"): build_java,
    }
    for names, build in builders.items():
        if not any(map(wanted, names)):
            continue
        try:
            built = build(folder)
        except BuildError as error:
            print(f"left out: {' and '.join(names)}: {error}", flush=True)
        else:
            edges |= built.edges
            workers |= built.workers
    return Programs(edges, workers)


def build_go(folder: Path) -> Programs:
    find("go", "install Go 1.26 or newer (Debian: apt-get install golang-go)")
    programs = {name: folder / f"go-{name}" for name in ("edge", "worker")}
    for name, program in programs.items():
        command = ["go", "build", "-mod=readonly", "-o", str(program), f"./{name}"]
        run(command, HERE / "go", {"GOTOOLCHAIN": "local"})
    return Programs({"Go": (str(programs["edge"]),)}, {"Go": (str(programs["worker"]),)})


def build_rust(folder: Path) -> Programs:
    """Build in the user's cache: librdkafka and the crates take minutes, and are built once.

    rust/pinned.lock is a Cargo.lock without the addresses that the packages are from: cargo adds its own index.
    """
    rustup = Path.home() / ".cargo" / "bin"  # where rustup installs cargo, on the PATH or not
    cargo = find("cargo", "install Rust 1.89 or newer with rustup (Debian 13: apt-get install rustup)", rustup)
    target = default_cache_dir(os.environ) / "peers" / "rust"
    path = os.pathsep.join((os.environ.get("PATH", ""), str(Path(cargo).parent)))
    sources = shutil.copytree(HERE / "rust", folder / "rust")
    environment = {"CARGO_TARGET_DIR": str(target), "PATH": path}
    run([cargo, "generate-lockfile", "--quiet"], sources, environment)
    lock = sources / "Cargo.lock"
    lock.write_text(with_source((sources / "pinned.lock").read_text(), lock.read_text()))
    run([cargo, "build", "--release", "--locked"], sources, environment)
    return Programs({"Rust": (str(target / "release" / "edge"),)})


def with_source(pinned: str, generated: str) -> str:
    """The pinned lock file, with the source of a generated one in each package that has a checksum.

    Raises:
        BuildError: the generated one names more than one source, or none.
    """
    sources = {line for line in generated.splitlines() if line.startswith("source = ")}
    if len(sources) != 1:
        raise BuildError(f"cargo names {len(sources)} sources of packages, not one: look at its configuration")
    return pinned.replace("\nchecksum = ", f"\n{sources.pop()}\nchecksum = ")


def build_java(folder: Path) -> Programs:
    find("javac", "install a JDK 17 or newer (Debian: apt-get install openjdk-17-jdk-headless)")
    find("mvn", "install Maven (Debian: apt-get install maven)")
    output, schemas = folder / "java", folder / "java-schemas"
    schemas.mkdir()
    for record in JAVA_RECORDS:
        definition = without_logical_types(newest(record).definition)
        (schemas / f"{record}.avsc").write_text(json.dumps(definition))
    run(["mvn", "-q", "-B", f"-Doutput={output}", f"-Dschemas={schemas}", "process-classes"], HERE / "java")
    program = (*JAVA, "-cp", os.pathsep.join((str(output / "classes"), str(output / "libraries" / "*"))))
    return Programs(
        {"Netty": (*program, "taskstream.peers.NettyEdge")},
        {"Streams": (*program, "taskstream.peers.StreamsWorker")},
    )


def without_logical_types(schema: Any) -> Any:
    """The schema with plain longs for times: Avro's generated coders do not work with logical types."""
    if isinstance(schema, dict):
        return {key: without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(each) for each in schema]
    return schema


def find(program: str, remedy: str, *folders: Path) -> str:
    """The path of a program, on the PATH or in one of the folders.

    Raises:
        BuildError: it is not there.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), *map(str, folders)))
    found = shutil.which(program, path=path)
    if found is None:
        raise BuildError(f"{program} is missing; {remedy}")
    return found


def run(
    command: list[str], folder: Path, environment: Mapping[str, str] | None = None, timeout_s: float = BUILD_TIMEOUT_S
) -> None:
    """Run a build in a folder; none of its processes outlives the call.

    Raises:
        BuildError: it failed, or took longer than `timeout_s`.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as build:
        try:
            output, _ = build.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"`{' '.join(command)}` took longer than {timeout_s:.0f} s: run it again") from error
        finally:
            if build.returncode is None:
                os.killpg(build.pid, signal.SIGKILL)
    if build.returncode:
        raise BuildError(f"`{' '.join(command)}` failed: {output.strip()[-500:]}")
