"""A Kafka in memory for tests: one consumer group, transactions and logs, without threads or a clock.

`InMemorySource` and `InMemoryTransaction` pass the same behaviour suite as `BatchSource` and `Transaction`.
"""
