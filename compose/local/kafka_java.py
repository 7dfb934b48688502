"""The java command lines that run Kafka, and the class data archive that halves its start time. It knows no ports."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from taskstream.compose.errors import BrokerStartError
from taskstream.compose.local.kafka_node import KafkaNode

# For one small node on a shared machine: the serial collector starts fastest and uses no extra threads.
TUNING = ("-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true")
FORMAT_TIMEOUT_S = 60.0
ERRORS_SHOWN = 3
"""Kafka stops orderly after a failed start, so that its last lines do not show why."""
LAST_LINES_SHOWN = 20
PORT_TAKEN = "Address already in use"


@dataclass(frozen=True)
class KafkaJava:
    """The java program and the folder of Kafka's jars."""

    java: str
    jars: Path

    @property
    def class_archive(self) -> Path:
        """The dynamic class data archive (JEP 350). An empty file means that it could not be created.

        Java accepts an archive only with the java and class path that created it, so its name is a checksum of both.
        """
        java = Path(self.java).resolve()
        stat = java.stat()
        made_with = (java, stat.st_mtime_ns, stat.st_size, self._class_path(), os.listdir(self.jars))  # noqa: PTH208 -- in java's order
        return self.jars.parent / f"classes-{zlib.crc32(repr(made_with).encode()):08x}.jsa"

    def broker(self, node: KafkaNode, heap: str, flags: Sequence[str] = ()) -> list[str]:
        """The command line of a broker; `heap` is java's -Xmx, such as 1g."""
        logging = f"-Dlog4j2.configurationFile={node.logging_file}"
        main = ("kafka.Kafka", str(node.properties_file))
        return [*self._java(node, flags), f"-Xmx{heap}", logging, "-cp", self._class_path(), *main]

    def format(self, node: KafkaNode, cluster_id: str) -> None:
        """Format the node's storage for a cluster; see `new_cluster_id`.

        Raises:
            BrokerStartError: the storage tool failed or timed out.
        """
        main = ("kafka.tools.StorageTool", *node.begin_format(), "-t", cluster_id)
        command = [*self._java(node, ("-XX:TieredStopAtLevel=1",)), "-cp", self._class_path(), *main]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise BrokerStartError(f"formatting Kafka's storage took over {FORMAT_TIMEOUT_S:g} s: try again") from error
        if done.returncode != 0:
            raise BrokerStartError(explain("formatting Kafka's storage", done.returncode, done.stdout + done.stderr))
        node.end_format()

    def _java(self, node: KafkaNode, flags: Sequence[str]) -> list[str]:
        archive = self.class_archive
        mapped = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() and archive.stat().st_size else []
        # Java ignores an archive that does not match; the -Xlog options keep its warnings out of the broker's log.
        temporary_files = f"-Djava.io.tmpdir={node.temporary_files}"
        return [self.java, *TUNING, temporary_files, *flags, *mapped, "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]

    def _class_path(self) -> str:
        return f"{self.jars}/*"  # java expands the wildcard, so process listings stay short


def new_cluster_id() -> str:
    """A random cluster id in the format of `kafka.tools.StorageTool random-uuid`, without starting java.

    The format is unpadded URL-safe base64 of 16 bytes; the first byte is zero, so that it does not begin with a dash.
    """
    return base64.urlsafe_b64encode(b"\x00" + secrets.token_bytes(15)).decode("ascii").rstrip("=")


def explain(what: str, code: int | None, output: str) -> str:
    """A message about a java process that ended (`code`) or timed out (None): its first errors, its last lines."""
    if "UnsupportedClassVersionError" in output:
        return f"{what}: this java is too old for Kafka, install Java 17 or newer (Debian: openjdk-17-jre-headless)"
    ended = "did not answer in time" if code is None else f"ended with exit code {code}"
    lines = output.splitlines()
    at = [index for index, line in enumerate(lines) if " ERROR " in line or " FATAL " in line]
    errors = [line for index in at[:ERRORS_SHOWN] for line in lines[index : index + 2]]  # the second says why
    reason = "its first errors:\n" + "\n".join(errors) + "\nand " if errors else ""
    return f"{what} {ended}; {reason}its last lines:\n" + "\n".join(lines[-LAST_LINES_SHOWN:])
