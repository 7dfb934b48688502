"""Serving HTTP: the protocol with its limits, worker processes, TLS, and the builders of edge and view."""
