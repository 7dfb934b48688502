"""The columnar codec, compared with fastavro record by record and, if installed, pyruhvro in batches.

The figures are CPU time of the whole process, the best of several rounds. fastavro runs without logical types and
without our checks, and produces dicts; pyruhvro gets Avro whose header was removed beforehand. Both favours them.
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
        rng = random.Random(1)
        compare(named(title), [make(rng, number) for number in range(RECORDS)])
    old_versions()


def compare(schema: Schema, records: list[dict[str, Any]]) -> None:
    wires = [RecordWriter(IDS, schema).write(record) for record in records]
    reader, writer = ColumnReader(IDS, schema.name), ColumnWriter(IDS, schema)
    batch = reader.read(wires).batch
    assert writer.write(batch) == wires
    parsed = fastavro.parse_schema(plain(schema.definition))
    print(
        f"{schema.title}: {len(wires):,} records of {sum(map(len, wires)) / len(wires):.0f} bytes; µs of CPU per record"
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
    """v1 records read as v2, which fastavro does slowly because it must resolve the schemas."""
    rng = random.Random(1)
    v1, v2 = named("ProgressReported.v1"), newest("ProgressReported")
    names = {each["name"] for each in v1.definition["fields"]}
    records = [{k: v for k, v in reported(rng, each).items() if k in names} for each in range(RECORDS)]
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
    """µs of CPU per record, the minimum of several rounds."""
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


def reported(rng: random.Random, number: int) -> dict[str, Any]:
    """A typical report: some of the optional fields are null."""
    total = rng.randrange(1 << 34, 1 << 42)
    progress = rng.randrange(101)
    return {
        "event_id": str(uuid.UUID(int=rng.getrandbits(128))),
        "project_id": f"{rng.getrandbits(128):032x}",
        "task_id": str(uuid.UUID(int=rng.getrandbits(128))),
        "received_at": 1_795_421_400_000_000 + number * 1_001,
        "subtask_name": rng.choice(SUBTASKS),
        "progress": progress,
        "replicatesize": total * progress // 100,
        "totalsize": total,
        "process_trace": f"copying /srv/data/{number:08d}/part-{number % 97}.parquet",
        "migrate_speed": rng.random() * 900,
        "compress_rate": None,
        "remain_time": rng.randrange(40_000),
        "total_cpu_usage": rng.random() * 100,
        "agent_cpu_usage": rng.random() * 10,
        "total_mem_usage": 15_872.0,
        "agent_mem_usage": 61.5,
        "total_disk_io": None,
        "agent_disk_io": None,
        "need_migration_test": None,
        "agent_time": "2026-11-23T08:10:00Z",
    }


def series(rng: random.Random, number: int) -> dict[str, Any]:
    """The state of a series during its copy: 30 minutes with bytes, and no derived figure is null."""
    now = 1_795_421_400_000_000 + number * 1_001
    report = {name: value for name, value in reported(rng, number).items() if name not in ("event_id", "received_at")}
    record: dict[str, Any] = {}
    for each in newest("SeriesState").definition["fields"]:
        name, kind = each["name"], each["type"]
        if name in report:
            record[name] = report[name]
        elif name == "minute_bytes":
            record[name] = [rng.randrange(1 << 32) for _ in range(30)]
        elif isinstance(kind, dict) or "timestamp" in str(kind):
            record[name] = now - rng.randrange(1 << 32)
        elif isinstance(kind, list):
            record[name] = rng.random() * 1e8
        else:
            record[name] = {"long": rng.randrange(5_000), "int": 30, "boolean": False, "string": "STEADY"}[kind]
    return record
