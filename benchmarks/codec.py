"""Lists of wire bytes to Arrow and back, against fastavro one by one and pyruhvro (if installed) in batches.

CPU time of the whole process, best of several. fastavro is called straight, with no logical types and no check of
ours, and gives dicts; pyruhvro is given bare Avro without the header, cut off beforehand. Both are favoured by that.
"""

from __future__ import annotations

import importlib.util
import io
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import fastavro
import pyarrow as pa

from taskstream.schemas.catalog import Schema, named, newest
from taskstream.schemas.codec.column_codec import ColumnReader, ColumnWriter
from taskstream.schemas.codec.record_codec import RecordWriter, plain
from taskstream.schemas.codec.wire_format import HEADER_SIZE
from taskstream.schemas.ids import TableIds
from taskstream.schemas.subtasks import SUBTASKS

SECTION = "codec"
RECORDS = 20_000
IDS = TableIds()


def run() -> None:
    for title, make in (("ProgressReported.v2", reported), ("SeriesState.v1", series)):
        dice = random.Random(1)
        compare(named(title), [make(dice, number) for number in range(RECORDS)])
    old_versions()


def compare(schema: Schema, records: list[dict[str, Any]]) -> None:
    wires = [RecordWriter(IDS, schema).write(record) for record in records]
    reader, writer = ColumnReader(IDS, schema.name), ColumnWriter(IDS, schema)
    batch = reader.read(wires).batch
    assert writer.write(batch) == wires
    parsed = fastavro.parse_schema(plain(schema.definition))
    print(
        f"{schema.title}: {len(wires):,} records of {sum(map(len, wires)) / len(wires):.0f} bytes; µs of CPU a record"
    )
    read = {
        "columns": cost(lambda: reader.read(wires)),
        "fastavro": cost(lambda: read_one_by_one(parsed, wires), rounds=3),
    }
    written = {
        "columns": cost(lambda: writer.write(batch)),
        "fastavro": cost(lambda: write_one_by_one(parsed, records), rounds=3),
    }
    if importlib.util.find_spec("pyruhvro"):
        read["pyruhvro"], written["pyruhvro"] = with_pyruhvro(schema, wires)
    else:
        print("  (pyruhvro is not installed: pip install --require-hashes -r requirements/bench.txt)")
    show("read ", read)
    show("write", written)


def old_versions() -> None:
    """A topic full of v1 records, read as v2: the case that a reader's schema makes slow."""
    dice = random.Random(1)
    v1, v2 = named("ProgressReported.v1"), newest("ProgressReported")
    names = {each["name"] for each in v1.definition["fields"]}
    records = [{k: v for k, v in reported(dice, each).items() if k in names} for each in range(RECORDS)]
    wires = [RecordWriter(IDS, v1).write(record) for record in records]
    reader = ColumnReader(IDS, v1.name)
    reader.read(wires)
    written, wanted = (fastavro.parse_schema(plain(schema.definition)) for schema in (v1, v2))
    print(f"{v1.title} read as {v2.title}: {RECORDS:,} records")
    fast = cost(lambda: reader.read(wires))
    show("read ", {"columns": fast, "fastavro": cost(lambda: read_one_by_one(written, wires, wanted), rounds=3)})


def show(direction: str, costs: dict[str, float]) -> None:
    ours = costs["columns"]
    others = [f"{name} {each:6.2f} ({each / ours:5.1f}x)" for name, each in costs.items() if name != "columns"]
    print(f"  {direction}  columns {ours:5.2f}   {'   '.join(others)}")


def cost(work: Callable[[], object], rounds: int = 9) -> float:
    """µs of CPU a record, the least of several rounds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) / RECORDS * 1e6


def read_one_by_one(parsed: Any, wires: list[bytes], wanted: Any = None) -> list[Any]:
    records = []
    for wire in wires:
        body = io.BytesIO(wire)
        body.seek(HEADER_SIZE)
        records.append(fastavro.schemaless_reader(body, parsed, wanted))
    return records


def write_one_by_one(parsed: Any, records: list[dict[str, Any]]) -> list[bytes]:
    wires = []
    for record in records:
        out = io.BytesIO()
        out.write(b"\0\0\0\0\2")
        fastavro.schemaless_writer(out, parsed, record)
        wires.append(out.getvalue())
    return wires


def with_pyruhvro(schema: Schema, wires: list[bytes]) -> tuple[float, float]:
    import pyruhvro

    bodies = [wire[HEADER_SIZE:] for wire in wires]
    batch: pa.RecordBatch = pyruhvro.deserialize_array(bodies, schema.text)
    assert [bytes(each) for each in pyruhvro.serialize_record_batch(batch, schema.text, 1)[0].to_pylist()] == bodies
    read = cost(lambda: pyruhvro.deserialize_array(bodies, schema.text))
    return read, cost(lambda: [array.to_pylist() for array in pyruhvro.serialize_record_batch(batch, schema.text, 1)])


def reported(dice: random.Random, number: int) -> dict[str, Any]:
    """A report as agents make them: most fields there, some not."""
    total = dice.randrange(1 << 34, 1 << 42)
    progress = dice.randrange(101)
    return {
        "event_id": str(uuid.UUID(int=dice.getrandbits(128))),
        "project_id": f"{dice.getrandbits(128):032x}",
        "task_id": str(uuid.UUID(int=dice.getrandbits(128))),
        "received_at": 1_795_421_400_000_000 + number * 1_001,
        "subtask_name": dice.choice(SUBTASKS),
        "progress": progress,
        "replicatesize": total * progress // 100,
        "totalsize": total,
        "process_trace": f"copying /srv/data/{number:08d}/part-{number % 97}.parquet",
        "migrate_speed": dice.random() * 900,
        "compress_rate": None,
        "remain_time": dice.randrange(40_000),
        "total_cpu_usage": dice.random() * 100,
        "agent_cpu_usage": dice.random() * 10,
        "total_mem_usage": 15_872.0,
        "agent_mem_usage": 61.5,
        "total_disk_io": None,
        "agent_disk_io": None,
        "need_migration_test": None,
        "agent_time": "2026-11-23T08:10:00Z",
    }


def series(dice: random.Random, number: int) -> dict[str, Any]:
    """The state of a series in mid-copy: 30 full minutes, every derived figure there."""
    now = 1_795_421_400_000_000 + number * 1_001
    report = {name: value for name, value in reported(dice, number).items() if name not in ("event_id", "received_at")}
    record: dict[str, Any] = {}
    for each in newest("SeriesState").definition["fields"]:
        name, kind = each["name"], each["type"]
        if name in report:
            record[name] = report[name]
        elif name == "minute_bytes":
            record[name] = [dice.randrange(1 << 32) for _ in range(30)]
        elif isinstance(kind, dict) or "timestamp" in str(kind):
            record[name] = now - dice.randrange(1 << 32)
        elif isinstance(kind, list):
            record[name] = dice.random() * 1e8
        else:
            record[name] = {"long": dice.randrange(5_000), "int": 30, "boolean": False, "string": "STEADY"}[kind]
    return record
