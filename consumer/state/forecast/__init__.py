"""When a series will end: the rate that it is computed with, the end and its bounds, and what was claimed of it."""
