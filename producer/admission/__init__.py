"""Whether the edge accepts a request: its body, its credentials, the project's quota, the limits, readiness."""
