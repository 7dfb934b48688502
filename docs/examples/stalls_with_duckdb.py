"""What stalled yesterday: one row per stall, with DuckDB over the signals.

    python docs/examples/stalls_with_duckdb.py localhost:9092 --from 2026-11-25 --to 2026-11-26 > stalls.tsv

A stall begins when a subtask's health becomes NO_PROGRESS or SILENT, and ends when it becomes another one. Stalls that
go on at the end of the range have no end. Give --from some hours earlier to see stalls that began the day before.
"""

import argparse
import sys

import duckdb

from taskstream import batches

QUERY = """
    select
        project_id,
        task_id,
        subtask_name,
        signal as began_as,
        strftime(make_timestamp(epoch_us(since)), '%Y-%m-%dT%H:%M:%SZ') as stalled_from,
        strftime(make_timestamp(epoch_us(moved_at)), '%Y-%m-%dT%H:%M:%SZ') as moved_at,
        round((epoch_us(moved_at) - epoch_us(since)) / 6e7, 1) as minutes,
        round(replicatesize / 1e9, 3) as replicated_gbytes,
        round(rate_slow_bps / 1e6, 3) as rate_before_mbytes_per_s -- columns that end in _bps are bytes per second
    from (
        select
            *,
            after in ('NO_PROGRESS', 'SILENT') as begins,
            lead(raised_at) over (
                partition by project_id, task_id, subtask_name order by raised_at, "offset"
            ) as moved_at
        from signals
        where (before in ('NO_PROGRESS', 'SILENT')) <> (after in ('NO_PROGRESS', 'SILENT'))
    )
    where begins
    order by since, project_id, task_id
"""

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("kafka", metavar="HOST:PORT", help="Kafka's brokers, any of them")
options.add_argument("--from", dest="start", default="1d", help="a time, a duration back from now, or earliest")
options.add_argument("--to", dest="end", default="latest", help="a time, a duration back from now, or latest")
options.add_argument("--prefix", default="taskstream", help="what the topics' names begin with")
asked = options.parse_args()

topic = batches(asked.kafka, "signals", start=asked.start, end=asked.end, prefix=asked.prefix)
signals = topic.reader()  # the name in the query's `from`

answer = duckdb.sql(QUERY)
print(*answer.columns, sep="\t")
for row in answer.fetchall():
    print(*("" if value is None else value for value in row), sep="\t")

for each in topic.unreadable:
    print(f"left out: {each.partition}:{each.offset}: {each.detail}", file=sys.stderr)
