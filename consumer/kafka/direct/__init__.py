"""librdkafka's messages read into arrays and produced from arrays, beside the clients of confluent-kafka.

`native_client.why_not` says whether the loaded versions are those that this was tested with; with any other the worker
uses messages as Python objects.
"""
