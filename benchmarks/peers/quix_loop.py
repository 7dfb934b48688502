"""The same loop in Quix Streams, with fastavro and its state store. It runs in a separate virtual environment.

`quix_loop.py BOOTSTRAP SOURCE TARGET GROUP SCHEMA FOLDER GUARANTEE` runs until it is stopped. Its progress is the
group's committed offsets.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import fastavro
from quixstreams import Application, State

PART = 0.1
HEADER_SIZE = 5


def main(bootstrap: str, source: str, target: str, group: str, schema_file: str, folder: str, guarantee: str) -> None:
    schema = fastavro.parse_schema(json.loads(Path(schema_file).read_text()))
    application = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee=guarantee,
        commit_interval=1.0,
        state_dir=folder,
        loglevel="ERROR",
    )

    def read(value: bytes) -> dict[str, Any]:
        return fastavro.schemaless_reader(io.BytesIO(value[HEADER_SIZE:]), schema)

    def fold(event: dict[str, Any], state: State) -> dict[str, Any]:
        name, seen = event["subtask_name"], event["received_at"].timestamp()
        before, rate = state.get(name), 0.0
        if before is not None:
            rate = before["rate"]
            if seen > before["seen"]:
                now = (event["replicatesize"] - before["bytes"]) / (seen - before["seen"])
                rate += (now - rate) * PART
        after = {"bytes": event["replicatesize"], "seen": seen, "rate": rate}
        state.set(name, after)
        return after

    events = application.dataframe(application.topic(source, value_deserializer="bytes", key_deserializer="bytes"))
    states = events.apply(read).apply(fold, stateful=True)
    states.to_topic(application.topic(target, value_serializer="json", key_serializer="bytes"))
    application.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
