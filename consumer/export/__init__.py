"""A topic's records as typed columns: in Python with `batches`, or in a file. It writes to no topic."""

from taskstream.consumer.export.topic_batches import TopicBatches, batches

__all__ = ["TopicBatches", "batches"]
