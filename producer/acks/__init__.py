"""Producing events, and the acknowledgements that complete requests."""
