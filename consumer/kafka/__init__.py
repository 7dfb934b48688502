"""Kafka as this room uses it: batches, offsets, transactions, retries and questions to the cluster."""
