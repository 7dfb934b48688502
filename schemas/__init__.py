"""The contract: Avro schemas, topics, codecs, schema ids, and what both HTTP faces share."""
