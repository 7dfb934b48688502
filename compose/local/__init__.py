"""A pipeline on this machine: a Kafka of its own, processes that are kept up, ports, a token."""
