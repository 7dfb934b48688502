"""The whole pipeline on one machine: a local Kafka, and supervised processes of the other parts."""
