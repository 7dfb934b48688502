"""Records that could not be read: listed, inspected, and redriven to their origin."""
