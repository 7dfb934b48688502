"""Batches in, state and trends out: the worker, and the view and replay that read the same table."""
