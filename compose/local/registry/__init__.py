"""The schema registry beside the local Kafka."""
