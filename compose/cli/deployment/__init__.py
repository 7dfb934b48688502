"""Commands that set up or check a deployment."""
