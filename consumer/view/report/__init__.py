"""The report of a fleet: what is done, what ends by a chosen time and how surely, and what stands still."""
