"""How commands print, log and stop."""
