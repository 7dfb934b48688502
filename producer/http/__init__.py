"""The edge's HTTP API: its routes, its endpoints, its OpenAPI description, its metrics."""
