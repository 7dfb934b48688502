"""The way from a client of confluent-kafka to functions of its librdkafka that it does not offer."""
