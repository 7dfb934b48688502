"""What every migration did, with polars: a line a subtask of a task, the one not heard of for longest first.

    python docs/examples/tasks_with_polars.py localhost:9092 --from PT24H > tasks.csv

The records of a topic come as Arrow batches; polars takes them without a copy.
"""

import argparse
import sys

import polars as pl

from taskstream import batches

COLUMNS = ["project_id", "task_id", "subtask_name", "received_at", "progress", "replicatesize"]

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("kafka", metavar="HOST:PORT", help="Kafka's brokers, any of them")
options.add_argument("--from", dest="start", default="earliest", help="a time, a duration back from now, or earliest")
options.add_argument("--prefix", default="taskstream", help="what the topics' names begin with")
asked = options.parse_args()

reports = batches(asked.kafka, "progress", start=asked.start, prefix=asked.prefix, columns=COLUMNS)
schema = pl.from_arrow(reports.schema.empty_table()).schema
frame = pl.concat([pl.DataFrame(schema=schema), *(pl.from_arrow(batch) for batch in reports)])

tasks = (
    frame.sort("offset")  # a task's reports lie in one partition, in the order in which they were acknowledged
    .group_by("project_id", "task_id", "subtask_name")
    .agg(
        reports=pl.len(),
        progress=pl.col("progress").last(),
        replicated_gb=pl.col("replicatesize").last() / 1e9,
        last_heard=pl.col("received_at").max(),
        hours=(pl.col("received_at").max() - pl.col("received_at").min()).dt.total_seconds() / 3600,
    )
    .sort("last_heard", "project_id", "task_id", "subtask_name")
)
tasks.write_csv(sys.stdout)

for each in reports.unreadable:
    print(f"left out: {each.partition}:{each.offset}: {each.detail}", file=sys.stderr)
