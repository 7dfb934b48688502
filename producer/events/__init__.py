"""Progress reports: validation, and the Avro event that is built from a valid report."""
