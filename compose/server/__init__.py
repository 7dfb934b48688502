"""Serving HTTP: the protocol with its bounds, processes, TLS, and how edge and view are put together."""
