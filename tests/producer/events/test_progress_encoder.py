"""The hand-written encoder, compared with fastavro."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskstream.producer.events.plain_report import PlainReport
from taskstream.producer.events.progress_encoder import TITLE, ProgressEncoder
from taskstream.producer.events.report_validation import ProgressReport
from taskstream.schemas.catalog import named, newest
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.ids import TableIds

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
LONG = st.integers(0, 2**63 - 1)
DOUBLE = st.none() | st.floats(allow_nan=False, allow_infinity=False)
FIELDS = st.fixed_dictionaries(
    {
        "subtask_name": TEXT,
        "progress": st.integers(0, 100),
        "replicatesize": LONG,
        "totalsize": LONG,
        "process_trace": TEXT,
        "migrate_speed": DOUBLE,
        "compress_rate": DOUBLE,
        "remain_time": st.none() | LONG,
        "total_cpu_usage": DOUBLE,
        "agent_cpu_usage": DOUBLE,
        "total_mem_usage": DOUBLE,
        "agent_mem_usage": DOUBLE,
        "total_disk_io": DOUBLE,
        "agent_disk_io": DOUBLE,
        "need_migration_test": st.none() | st.booleans(),
        "agent_time": st.none() | TEXT,
    }
)


@given(FIELDS, TEXT, TEXT, TEXT, LONG)
def test_the_bytes_are_those_of_fastavro(fields, event_id, project_id, task_id, received_at_us):
    ids = TableIds()
    record = {
        **fields,
        "event_id": event_id,
        "project_id": project_id,
        "task_id": task_id,
        "received_at": received_at_us,
    }
    written = RecordWriter(ids, named(TITLE)).write(record)
    for report in (PlainReport(**fields), ProgressReport.model_construct(**fields)):
        assert ProgressEncoder(ids).encode(report, event_id, project_id, task_id, received_at_us) == written


def test_it_encodes_the_newest_version():
    assert newest("ProgressReported").title == TITLE
