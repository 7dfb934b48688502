"""Decoded records within bounds: the decoder of events, and what every decoder of a topic checks."""
