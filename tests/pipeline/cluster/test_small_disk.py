"""The disk of the chaos test can be full and have room again, mounted or not, without a Kafka."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.pipeline.cluster.small_disk import SmallDisk
from tests.run.watcher import mount_points

WRITER = """
import sys
for line in sys.stdin:
    try:
        with open(sys.argv[1], "ab", buffering=0) as file:
            file.write(bytes(16 << 20))
        print("written", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""


class Writer:
    """A process that writes 16 MiB to the disk each time it is asked."""

    def __init__(self, disk: SmallDisk) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(disk.folder / "file")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def write(self) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.communicate()


def test_a_full_disk_refuses_until_it_has_room_again(tmp_path: Path):
    with SmallDisk(tmp_path / "disk") as disk:
        writer = Writer(disk)
        assert writer.write() == "written"
        disk.fill(writer.process.pid)
        assert writer.write() in ("No space left on device", "File too large")
        writer.close()
        disk.empty()
        another = Writer(disk)
        assert another.write() == "written"
        another.close()


def test_what_is_mounted_is_found_and_gone_at_the_end(tmp_path: Path):
    with SmallDisk(tmp_path / "disk") as disk:
        assert mount_points(tmp_path) == ([str(disk.folder)] if disk.is_mounted else [])
    assert mount_points(tmp_path) == []
