"""Events on their way to Kafka, and the acknowledgements that complete requests."""
