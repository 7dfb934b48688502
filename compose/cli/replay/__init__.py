"""`taskstream replay`: fold the reports again, compare and rebuild the state, copy records."""
