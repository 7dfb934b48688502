"""The contract of the pipeline: Avro schemas, topics, codecs, schema ids, and the HTTP vocabulary of edge and view."""
