"""A report: validated, then made the Avro event that is recorded."""
