"""A topic's records as typed columns: for Python `batches`, for everybody else a file. It writes to no topic."""

from taskstream.consumer.export.topic_batches import TopicBatches, batches

__all__ = ["TopicBatches", "batches"]
