"""The events folded again: past state, a comparison with the published state, a rebuild of it; and record copies."""
