"""The java command lines that Kafka runs with, and the class archive that halves its start. It knows no ports."""

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

# One small node on a shared machine: the serial collector starts fastest and needs no threads of its own.
TUNING = ("-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true")
FORMAT_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class KafkaJava:
    """The java program, and Kafka's jars."""

    java: str
    jars: Path

    @property
    def class_archive(self) -> Path:
        """Classes kept ready to be mapped (JEP 350); an empty file: they could not be.

        Java takes an archive only with the very java and class path that it was made with: both are in its name.
        """
        java = Path(self.java).resolve()
        stat = java.stat()
        made_with = (java, stat.st_mtime_ns, stat.st_size, self._class_path(), os.listdir(self.jars))  # noqa: PTH208 -- in java's order
        return self.jars.parent / f"classes-{zlib.crc32(repr(made_with).encode()):08x}.jsa"

    def broker(self, node: KafkaNode, heap: str, flags: Sequence[str] = ()) -> list[str]:
        """The command that is a broker."""
        logging = f"-Dlog4j2.configurationFile={node.logging_file}"
        main = ("kafka.Kafka", str(node.properties_file))
        return [*self._java(flags), f"-Xmx{heap}", logging, "-cp", self._class_path(), *main]

    def format(self, node: KafkaNode) -> None:
        """Make the node's storage. Raises BrokerStartError."""
        main = ("kafka.tools.StorageTool", *node.begin_format(), "-t", _cluster_id())
        command = [*self._java(("-XX:TieredStopAtLevel=1",)), "-cp", self._class_path(), *main]
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

    def _java(self, flags: Sequence[str]) -> list[str]:
        archive = self.class_archive
        mapped = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() and archive.stat().st_size else []
        # An archive that does not fit is left unused; that is not worth a word in the broker's log.
        return [self.java, *TUNING, *flags, *mapped, "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]

    def _class_path(self) -> str:
        return f"{self.jars}/*"  # java expands it, and a listing of processes stays readable


def _cluster_id() -> str:
    """As `kafka.tools.StorageTool random-uuid` makes it, without half a second of java: base64, no dash in front."""
    return base64.urlsafe_b64encode(b"\x00" + secrets.token_bytes(15)).decode("ascii").rstrip("=")


def explain(what: str, code: int | None, output: str) -> str:
    """Why java ended, in a message that ends with its last words."""
    if "UnsupportedClassVersionError" in output:
        return f"{what}: this java is too old for Kafka, install Java 17 or newer (Debian: openjdk-17-jre-headless)"
    ended = "did not answer in time" if code is None else f"ended with exit code {code}"
    return f"{what} {ended}; its last lines:\n{output}"
