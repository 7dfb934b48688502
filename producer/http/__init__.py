"""The edge's HTTP API: which request goes where, the endpoints, and how each answer is written."""
