"""Records that could not be read: what is on the rejected topic, looked through and driven back."""
