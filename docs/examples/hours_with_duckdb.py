"""How much was reported in each hour, and how busy the agents were, with DuckDB: SQL over the topic itself.

    python docs/examples/hours_with_duckdb.py localhost:9092 --from 2026-11-01

The records stream through the query in Arrow batches: the range may be larger than the memory.
"""

import argparse
import sys

import duckdb

from taskstream import batches

QUERY = """
    select
        strftime(date_trunc('hour', make_timestamp(epoch_us(received_at))), '%Y-%m-%dT%H:%MZ') as hour,
        project_id,
        count(*) as reports,
        count(distinct task_id) as tasks,
        count(agent_cpu_usage) as with_resources, -- older agents do not tell them: null
        max(agent_cpu_usage) as busiest_agent_percent
    from reports
    group by all
    order by all
"""

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("kafka", metavar="HOST:PORT", help="Kafka's brokers, any of them")
options.add_argument("--from", dest="start", default="earliest", help="a time, a duration back from now, or earliest")
options.add_argument("--prefix", default="taskstream", help="what the topics' names begin with")
asked = options.parse_args()

columns = ["received_at", "project_id", "task_id", "agent_cpu_usage"]
topic = batches(asked.kafka, "progress", start=asked.start, prefix=asked.prefix, columns=columns)
reports = topic.reader()  # the name in the query's `from`

answer = duckdb.sql(QUERY)
print(*answer.columns, sep="\t")
for row in answer.fetchall():
    print(*row, sep="\t")

for each in topic.unreadable:
    print(f"left out: {each.partition}:{each.offset}: {each.detail}", file=sys.stderr)
