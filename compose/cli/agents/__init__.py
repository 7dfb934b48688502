"""Commands of agents: the reference agent, a simulated fleet."""
