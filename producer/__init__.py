"""The edge and the other side of its wire: reports in, events out; the client and the reference agent."""
