"""The state of every series: what one report changes, and what is derived from it. Pure."""
