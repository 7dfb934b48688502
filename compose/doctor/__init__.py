"""Checks a deployment from the outside: nothing of it need be up, nothing but one report of our own is written."""
