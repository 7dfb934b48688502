"""Commands that set a deployment up or check it."""
