"""The programs of docs/python.md, run as they stand there, but for the addresses."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.waiting import LIMIT_S

BLOCKS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8"), re.DOTALL
)


def test_the_programs_of_the_page_do_what_it_says(broker, edge, edge_topics, tmp_path):
    (tmp_path / "token").write_text(edge.token)
    (tmp_path / "token").chmod(0o600)
    reading, *reporting = BLOCKS

    told = [run(tmp_path, each.replace("http://127.0.0.1:8080", edge.url)) for each in reporting]
    of_prefix = f'"{broker.bootstrap_servers}", "progress", prefix="{edge_topics.prefix}"'
    read = run(tmp_path, reading.replace('"127.0.0.1:9092", "progress"', of_prefix))

    assert re.fullmatch(r"recorded as \S+ after 1 attempts\n", told[0])
    assert told[1] == "3 recorded\n"
    assert sum(int(line.split()[0]) for line in read.splitlines() if line.endswith(" bytes")) >= 4


def run(folder: Path, program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
