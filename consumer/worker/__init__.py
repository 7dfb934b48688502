"""The worker: batches in, one transaction out, and what only its loop uses."""
