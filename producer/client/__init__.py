"""A blocking client of the edge's HTTP API."""
