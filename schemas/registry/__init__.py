"""A Confluent-compatible schema registry: its client, its schema ids, and the registration of our schemas."""
