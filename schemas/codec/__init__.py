"""Avro on the wire: Confluent's framing, one record or a whole batch of them to bytes and back."""
