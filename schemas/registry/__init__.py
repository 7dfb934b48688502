"""A Confluent-compatible schema registry: the client, the ids that it gives, how schemas get into it."""
