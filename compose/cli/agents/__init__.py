"""Commands that report progress: the reference agent and a simulated fleet."""
