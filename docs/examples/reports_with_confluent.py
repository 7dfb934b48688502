"""Every report as a line of JSON, with Confluent's client and a schema registry alone: nothing of taskstream is needed.

    python docs/examples/reports_with_confluent.py localhost:9092 http://localhost:8085 --group my-dashboard

`taskstream up --registry` runs a registry and prints its address, to be given here as it is. The example goes on until
Ctrl-C, and the next time from there; with --once it ends where the topic ends.
"""

import argparse
import json
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("kafka", metavar="HOST:PORT", help="Kafka's brokers, any of them")
options.add_argument("registry", metavar="URL", help="the schema registry")
options.add_argument("--group", default="reports-with-confluent", help="who reads: each group gets every report")
options.add_argument("--topic", default="taskstream.progress")
options.add_argument("--once", action="store_true", help="end where the topic ends")
asked = options.parse_args()

registry = SchemaRegistryClient({"url": asked.registry, "max.retries": 1, "timeout": 5})
try:
    newest = registry.get_latest_version(f"{asked.topic}-value").schema
except Exception as error:  # noqa: BLE001 (the client lets through the errors of its HTTP library)
    sys.exit(
        f"{asked.registry} gives no schema for {asked.topic} ({error}): name a registry that has the schemas "
        "(`taskstream up --registry` runs one, `taskstream schemas register` gives them to another)"
    )
# Given the newest schema, it reads records of every version as that one: what older agents did not tell is None.
deserialize = AvroDeserializer(registry, newest)
consumer = Consumer(
    {
        "bootstrap.servers": asked.kafka,
        "group.id": asked.group,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": asked.once,
    }
)
context = SerializationContext(asked.topic, MessageField.VALUE)
try:
    still_reading = set(consumer.list_topics(asked.topic, timeout=10).topics[asked.topic].partitions)
except KafkaException as error:
    sys.exit(f"{asked.kafka} does not list {asked.topic} ({error.args[0].str()}): name a Kafka that has the topic")
if not still_reading:
    sys.exit(f"{asked.kafka} has no topic {asked.topic}: name another one with --topic")
consumer.subscribe([asked.topic])
try:
    while still_reading:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            still_reading.discard(message.partition())
            continue
        try:
            report = deserialize(message.value(), context)
        except SerializationError as error:
            print(f"left out: {message.partition()}:{message.offset()}: {error}", file=sys.stderr)
            continue
        print(json.dumps(report, default=str))  # times are datetimes
except KeyboardInterrupt:
    pass
finally:
    consumer.close()  # with it the group remembers how far it has read
