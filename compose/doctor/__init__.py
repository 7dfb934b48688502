"""Checks a deployment from the outside. Any part of it may be down.

It writes one report of its own task and empty records on the probe topic, and nothing else.
"""
