"""Avro on the wire: Confluent's framing, and the encoding and decoding of single records and of Arrow batches."""
